"""evaluation.json: all rows, what is pooled of them, and the manifest; and the lines of its table."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from dopsd.evaluation.interval import Interval
from dopsd.evaluation.paired import Comparison, McNemar
from dopsd.report.pooled import pooled
from dopsd.report.row import Row

_FRONT, _MEASURED = ("weights", "length", "steps", "accuracy"), ("tokens", "forwards", "samples/s")


def report(rows: Sequence[Row], *, overrides: Sequence[str], manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What evaluation.json holds."""
    return {
        "overrides": list(overrides),
        "rows": [row.as_dict() for row in rows],
        "pooled": list(pooled(rows)),
        "manifest": dict(manifest),
    }


def header(content: Mapping[str, Any]) -> list[str]:
    """The columns that this report needs."""
    ks = [f"pass@{k}" for k in _ks(content)]
    compared = any(row["comparison"] for row in content["rows"])
    return [*_FRONT, *ks, *_MEASURED, *(["against the baseline"] if compared else [])]


def lines(content: Mapping[str, Any]) -> list[list[str]]:
    """The cells of each row, the pooled ones at the end."""
    found = []
    for row in content["rows"]:
        measured = [f"{row['mean_tokens']:.1f}", f"{row['mean_forwards']:.1f}", f"{row['samples_per_s']:.2f}"]
        ks = [str(interval_of(row["pass_at_k"][k])) for k in _ks(content) if k in row["pass_at_k"]]
        compared = [str(comparison_of(row["comparison"]))] if row["comparison"] else []
        found.append([*_front(row), *ks, *measured, *compared])
    return [*found, *(_front(pool) for pool in content["pooled"])]


def interval_of(figures: Mapping[str, Any]) -> Interval:
    """The interval among a row's figures."""
    return Interval(**{field.name: figures[field.name] for field in fields(Interval)})


def comparison_of(figures: Mapping[str, Any]) -> Comparison:
    """The comparison that a row holds."""
    test = figures["mcnemar"]
    return Comparison(**{**figures, "mcnemar": None if test is None else McNemar(**test)})


def _front(row: Mapping[str, Any]) -> list[str]:
    return [
        row["title"],
        str(row["gen_length"]),
        str(row["denoising_steps"]),
        str(interval_of(row)),
    ]


def _ks(content: Mapping[str, Any]) -> list[str]:
    """The k of pass@k, but for 1, which is the accuracy."""
    return [k for k in content["rows"][0]["pass_at_k"] if k != "1"]
