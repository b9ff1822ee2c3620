"""evaluation.json: all rows, what is pooled of them, and the manifest; and the lines of its table."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from dopsd.evaluation.interval import Interval
from dopsd.evaluation.paired import McNemar, PairedComparison
from dopsd.report.answers import weights_title
from dopsd.report.facts import common_facts, common_parts, differing_facts, facts_of, without_parts
from dopsd.report.pooled import pooled
from dopsd.report.row import ReportRow


def report(
    rows: Sequence[ReportRow], *, overrides: Sequence[str], manifest: Mapping[str, Any]
) -> dict[str, Any]:
    """What evaluation.json holds."""
    return {
        "overrides": list(overrides),
        "rows": [row.as_dict() for row in rows],
        "pooled": list(pooled(rows)),
        "manifest": dict(manifest),
    }


def title(content: Mapping[str, Any]) -> str:
    """What is reported of what, and whatever is the same in all rows."""
    rows = content["rows"]
    common = common_facts(rows)
    task, split, n = (common.pop(name, "") for name in ("task", "split", "n"))
    head = f"{task + ', ' if task else ''}{_reported(content)}{f' on {split}' if split else ''}"
    runs = [row["checkpoint"] for row in rows if row["checkpoint"]]
    whose = _whose_weights(common.pop("weights", ""), runs)
    common.pop("metric", None)
    rest = [f"{name} {fact}" if name != "decoding" else fact for name, fact in common.items()]
    shared = common_parts([row["run"] for row in rows])
    return f"{head} ({f'n = {n}, ' if n else ''}95 % intervals); {', '.join(filter(None, [whose, *rest, *shared]))}"


def header(content: Mapping[str, Any]) -> list[str]:
    """The columns that this report needs."""
    reported = _reported(content)
    facts = differing_facts(content["rows"])
    figures = dict.fromkeys(column for row in content["rows"] for column in _figures(row, reported))
    return [*facts, *(column for column in figures if column not in facts)]


def lines(content: Mapping[str, Any]) -> list[list[str]]:
    """The cells of each row, the pooled ones at the end."""
    columns, reported = header(content), _reported(content)
    told = common_parts([row["run"] for row in content["rows"]])
    cells = [
        *(facts_of(row) | _figures(row, reported) for row in content["rows"]),
        *(facts_of(row) | _metrics(row, reported, {}) for row in content["pooled"]),
    ]
    for row in cells:
        row["run"] = without_parts(row["run"], told)
    return [[row.get(column, "") for column in columns] for row in cells]


def notes(content: Mapping[str, Any]) -> list[str]:
    """What is to be said under the table."""
    baselines = dict.fromkeys(_whose(row["baseline"]) for row in content["rows"] if row["baseline"])
    said = [f"baseline: {whose}" for whose in baselines]
    rows = [row for row in content["rows"] if row["batch_effect"]]
    if not rows:
        return said
    effects = [row["batch_effect"] for row in rows]
    shares = (
        f"{100 * row['batch_effect']['tokens_that_differ']:.1f} % ({row['title']}, length {row['gen_length']})"
        for row in rows
    )
    return [
        *said,
        f"{', '.join(dict.fromkeys(effect['dtype'] for effect in effects))}: of the tokens in the first "
        f"{effects[0]['examples']} answers {', '.join(shares)} differ from those decoded one at a time",
    ]


def name_of(row: Mapping[str, Any]) -> str:
    """What tells a row from the others."""
    return row["name"] or row["title"]


def interval_of(figures: Mapping[str, Any]) -> Interval:
    """The interval among a row's figures."""
    return Interval(**{field.name: figures[field.name] for field in fields(Interval)})


def comparison_of(figures: Mapping[str, Any]) -> PairedComparison:
    """The comparison that a row holds."""
    test = figures["mcnemar"]
    return PairedComparison(**{**figures, "mcnemar": None if test is None else McNemar(**test)})


def _whose_weights(weights: str, runs: Sequence[str]) -> str:
    """Whose answers the rows are about, as far as they agree, and of which run, or runs below which directory."""
    return f"{weights or 'weights'} of {os.path.commonpath(runs)}" if runs else weights


def _reported(content: Mapping[str, Any]) -> str:
    """What the reported metric is called: by its own name where all rows have the same."""
    metrics = {row["metric"] for row in content["rows"]}
    return "accuracy" if metrics == {"correct"} or len(metrics) > 1 else metrics.pop()


def _figures(row: Mapping[str, Any], reported: str) -> dict[str, str]:
    """What a row shows in each column behind its facts."""
    cells = {
        **_metrics(row, reported, row["chance"]),
        **{f"pass@{k}": str(interval_of(figures)) for k, figures in row["pass_at_k"].items() if k != "1"},
        "tokens": f"{row['mean_tokens']:.1f}",
        "forwards": f"{row['mean_forwards']:.1f}",
        "samples/s": f"{row['samples_per_s']:.2f}",
    }
    if row["comparison"]:
        cells["against the baseline"] = str(comparison_of(row["comparison"]))
    if beside := row["beside_exact"]:
        cells["against exact decoding"] = str(comparison_of(beside["comparison"]))
        cells["tokens that differ"] = f"{100 * beside['tokens_that_differ']:.1f} %"
        cells["speed-up"] = f"{beside['speedup']:.2f} x"
    return cells


def _metrics(row: Mapping[str, Any], reported: str, chance: Mapping[str, float]) -> dict[str, str]:
    """All metrics with their intervals, the reported one first, beside what blind answers reach."""
    return {
        reported if name == row["metric"] else name: str(interval_of(figures)) + by_chance(chance.get(name))
        for name, figures in row["metrics"].items()
    }


def by_chance(chance: float | None) -> str:
    """What answers that look at no prompt reach, in brackets; nothing where that is not known."""
    return "" if chance is None else f" (chance {100 * chance:.1f} %)"


def _whose(answers: Mapping[str, Any]) -> str:
    return f"{weights_title(answers['weights'], answers['training_step'])} of {answers['file']} (n = {answers['n']})"
