"""Runs a probe for its experiment: `python experiments/probes.py toy_verification` (or overlap, drift).

What a run leaves goes to experiments/PROBE under its name, with results.json and, beside the paper's figures, table.md.
A run that is there (runs/probes) is not made again. Overrides go to every run (`model=llada_8b task=gsm8k`), and what
comes of them to a folder of their own.
"""

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from results import HERE, folder, published, summaries, write_results

from dopsd.config.saved import key_of
from dopsd.evaluation.bootstrap import Mean
from dopsd.evaluation.interval import Interval
from dopsd.report.formats import markdown

PROBES = {  # what is typed for each of its runs
    "toy_verification": {"": (), "_kept": ("probe.keep_revealed=true",)},
    "overlap": {"": ()},
    "drift": {"": ()},
}
TASKS = "countdown,sudoku"
PROMPTS = 256  # of the dev split
RUNS = Path("runs/probes")


def main(probe: str, *typed: str) -> None:
    """What is missing, one run after the other; ends the program where one fails."""
    wanted = runs(probe, typed)
    directories = {name: RUNS / folder(*overrides) for name, overrides in wanted.items()}
    missing = [name for name, directory in directories.items() if not (directory / "probe.md").exists()]
    sys.stderr.write(f"{probe}: {len(missing)} of {len(wanted)} runs are missing\n")
    failed = []
    for number, name in enumerate(missing, 1):
        shutil.rmtree(directories[name], ignore_errors=True)  # a probe that was stopped cannot go on
        command = [sys.executable, "-m", "dopsd.probe", *wanted[name], f"hydra.run.dir={directories[name]}"]
        failed += [name] if subprocess.run(command, check=False).returncode else []
        how = "failed" if name in failed else "ended"
        sys.stderr.write(f"{number} of {len(missing)} {how}: {' '.join(wanted[name])}\n")
    done = {name: directory for name, directory in directories.items() if name not in failed}
    if done:
        leave(probe, typed, done)
    sys.exit(f"{probe}: failed: {', '.join(failed)}" if failed else None)


def runs(probe: str, typed: Sequence[str]) -> dict[str, list[str]]:
    """The overrides of each run; the last of a key counts."""
    tasks = {"task": TASKS} | {key_of(it): it.partition("=")[2] for it in typed}
    others = [it for it in typed if key_of(it) != "task"]
    limit = [] if any(key_of(it) == "eval_limit" for it in typed) else [f"eval_limit={PROMPTS}"]
    return {
        f"{task}{way}": [f"probe={probe}", f"task={task}", *more, *limit, *others]
        for way, more in PROBES[probe].items()
        for task in tasks["task"].split(",")
    }


def leave(probe: str, typed: Sequence[str], directories: Mapping[str, Path]) -> None:
    """The files of each run, and those of all of them."""
    where = HERE / folder(probe, *typed)
    command = " ".join(["python experiments/probes.py", probe, *typed])
    found = dict(zip(directories, summaries(run / "probe.json" for run in directories.values()), strict=True))
    write_results(where, command, [*found.values()], runs=found)
    for name, directory in directories.items():
        for kind in ("json", "md", "png"):
            shutil.copyfile(directory / f"probe.{kind}", where / f"{name}.{kind}")
    if probe in TABLES:
        (where / "table.md").write_text(f"`{command}`\n\n{TABLES[probe](found)}")


def toy_verification(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Accuracy when part of an accepted answer is shown, beside the paper's Table 3."""
    paper = published("table3_toy_verification")
    rows = []
    for name, run in found.items():
        shown = [*run["curves"]["shown_accepted_answer"], run["pass_at_k"]]
        rows.append([name, *(str(Interval(**accuracy)) for accuracy in shown)])
        if name in paper:
            rows.append([f"{name}, the paper's LLaDA-8B", *(f"{it:.1f} %" for it in paper[name])])
    rhos = next(iter(found.values()))["rhos"]
    return markdown(["", "pass@1", *(f"rho = {rho}" for rho in rhos[1:]), "pass@8"], rows)


def overlap(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The overlap of student and teachers, beside what the paper's Figure 3 shows."""
    paper = published("figure3_overlap")
    teachers = [*next(iter(found.values()))["teachers"]]
    rows = [
        [name, *(str(Mean(**run["teachers"][it]["overall"])) for it in teachers)]
        for name, run in found.items()
    ]
    rows.append(["the paper's LLaDA-8B", *(paper.get(it, "") for it in teachers)])
    return markdown(["", *teachers], rows)


TABLES = {"toy_verification": toy_verification, "overlap": overlap}


if __name__ == "__main__":
    if sys.argv[1:2] not in ([probe] for probe in PROBES) or not all("=" in it for it in sys.argv[2:]):
        sys.exit(f"usage: python experiments/probes.py {'|'.join(PROBES)} [KEY=VALUE ...]")
    main(*sys.argv[1:])
