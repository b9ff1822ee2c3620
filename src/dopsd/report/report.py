"""evaluation.json: all rows, what is pooled of them, and the manifest; and the lines of its table."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from dopsd.evaluation.interval import Interval
from dopsd.evaluation.paired import McNemar, PairedComparison
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


def header(content: Mapping[str, Any]) -> list[str]:
    """The columns that this report needs."""
    return list(dict.fromkeys(column for row in content["rows"] for column in _cells(row)))


def lines(content: Mapping[str, Any]) -> list[list[str]]:
    """The cells of each row, the pooled ones at the end."""
    columns = header(content)
    rows = [*map(_cells, content["rows"]), *map(_front, content["pooled"])]
    return [[row.get(column, "") for column in columns] for row in rows]


def notes(content: Mapping[str, Any]) -> list[str]:
    """What is to be said under the table."""
    rows = [row for row in content["rows"] if row["batch_effect"]]
    if not rows:
        return []
    effects = [row["batch_effect"] for row in rows]
    shares = (
        f"{100 * row['batch_effect']['tokens_that_differ']:.1f} % ({row['title']}, length {row['gen_length']})"
        for row in rows
    )
    return [
        f"{', '.join(dict.fromkeys(effect['dtype'] for effect in effects))}: of the tokens in the first "
        f"{effects[0]['examples']} answers {', '.join(shares)} differ from those decoded one at a time"
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


def _cells(row: Mapping[str, Any]) -> dict[str, str]:
    """What a row shows in each column; pass@1 is the accuracy."""
    cells = {
        **_front(row),
        **{f"pass@{k}": str(interval_of(figures)) for k, figures in row["pass_at_k"].items() if k != "1"},
        **{name: _with_chance(share, row["chance"].get(name)) for name, share in row["extras"].items()},
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


def _with_chance(share: float, chance: float | None) -> str:
    return f"{100 * share:.1f} %" + ("" if chance is None else f" (chance {100 * chance:.1f} %)")


def _front(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "weights": row["title"],
        "length": str(row["gen_length"]),
        "steps": str(row["denoising_steps"]),
        "accuracy": str(interval_of(row)),
    }
