"""The tables of a report: where every run stands, what each arm reached, which arms differ, and the curves."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dopsd.report.formats import Figures, Table
from dopsd.report.runs.arms import Arm, common_overrides
from dopsd.report.runs.pairs import Pair
from dopsd.report.runs.run import WEIGHTS, Run


def runs_table(arms: Sequence[Arm]) -> Table:
    """Every run, those that have not ended included; what has not ended says where it stands, if anything does."""
    runs = [(arm, run) for arm in arms for run in arm.runs]
    has_notes = any(run.note for _, run in runs)
    below, folders = folders_of([run.directory for _, run in runs])
    rows = [
        [arm.label, run.seed, run.state, *([run.note] if has_notes else []), *_results(run), folder]
        for (arm, run), folder in zip(runs, folders, strict=True)
    ]
    notes = ["where it stands"] if has_notes else []
    head = ["arm", "seed", "state", *notes, "base", "best on dev", "last", "folder"]
    return Table(name="runs", title="Runs", head=head, rows=rows, notes=[f"Folders are in {below}."])


def folders_of(directories: Sequence[Path]) -> tuple[str, list[str]]:
    """The folder that has them all, and each as told from there."""
    whole = [directory.absolute() for directory in directories]
    below = os.path.commonpath(whole)
    return below, [os.path.relpath(directory, below) for directory in whole]


def _results(run: Run) -> list[Figures]:
    return [Figures.of(run.results.get(weights)) for weights in WEIGHTS]


def arms_table(arms: Sequence[Arm]) -> Table:
    """Means over the seeds that have ended."""
    common = common_overrides([arm.setting for arm in arms])
    typed = [" ".join(override for override in arm.setting if override not in common) for arm in arms]
    rows = [
        [arm.label, _seeds(arm), *map(Figures.of, arm.pooled.values()), of]
        for arm, of in zip(arms, typed, strict=True)
    ]
    head = ["arm", "seeds", "base", "best on dev", "last", "typed"]
    title = "Arms, mean on test over seeds and problems [95 % interval]"
    notes = [f"Typed for all: {' '.join(o for o in arms[0].setting if o in common)}"] if common else []
    return Table(name="arms", title=title, head=head, rows=rows, notes=notes)


def _seeds(arm: Arm) -> str:
    ended = ", ".join(run.seed for run in arm.ended) or "none"
    missing = [f"{run.seed} {run.state}" for run in arm.runs if not run.has_ended]
    return ended + (f" (not in it: {', '.join(missing)})" if missing else "")


def pairs_table(pairs: Sequence[Pair], weights: str) -> Table:
    """A row for every two arms."""
    rows = [[pair.first.label, pair.second.label, *_compared(pair)] for pair in pairs]
    head = ["first", "second", "seeds", "second - first", "p", "p (Holm)", "exact McNemar p, each seed"]
    notes = (
        "The same test problems: one seed by a paired bootstrap and the exact test of McNemar, several by seeds and "
        "problems as crossed random effects (Satterthwaite's degrees of freedom). p (Holm): adjusted over this table.",
    )
    named = {"best": "best on dev", "final": "last"}[weights]
    return Table(name="pairs", title=f"Paired tests ({named})", head=head, rows=rows, notes=notes)


def _compared(pair: Pair) -> list[str | Figures]:
    of = pair.comparison
    if of is None:
        return [f"not compared: {pair.why_not}", *[Figures()] * 3, "-"]
    tests = [it.mcnemar for it in of.by_seed.values()]
    exact = ["-" if test is None else f"{test.exact_p:.2g}" for test in tests]
    difference = Figures(text=of.points, numbers={"": of.difference, "low": of.low, "high": of.high})
    return [", ".join(of.by_seed), difference, _p(of.p), _p(pair.adjusted), ", ".join(exact)]


def _p(p: float | None) -> Figures:
    return Figures() if p is None else Figures(text=f"{p:.2g}", numbers={"": p})


def curves_table(arms: Sequence[Arm]) -> Table:
    """Every evaluation on dev of every run, with all that had been spent."""
    rows = list(_points(arms))
    budgets = dict.fromkeys(name for _, _, row in rows for name in row if name.startswith("budget/"))
    columns = ["eval/accuracy", "eval/low", "eval/high", *budgets]
    cells = [[label, *about, *(_number(row.get(name)) for name in columns)] for label, about, row in rows]
    head = ["arm", "seed", "state", *columns]
    return Table(name="curves", title="Dev accuracy", head=head, rows=cells, is_for_programs=True)


def _points(arms: Sequence[Arm]) -> Iterator[tuple[str, list[str], Mapping[str, float]]]:
    for arm in arms:
        for run in arm.runs:
            for row in run.curve:
                if "eval/accuracy" in row:
                    yield arm.label, [run.seed, run.state], row


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"
