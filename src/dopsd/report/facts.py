"""What the rows of a report are about: a column for whatever differs between them, said once where they agree."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from dopsd.report.answers import weights_title

_SEPARATORS = re.compile(r"[,/]")
_COLUMNS = {
    **{"task": "task", "model": "model", "metric": "metric", "grader": "grader", "seed": "training_seed"},
    **{"split": "split", "n": "n", "length": "gen_length", "steps": "denoising_steps"},
    **{"temperature": "temperature", "samples": "samples"},
}


def facts_of(row: Mapping[str, Any]) -> dict[str, str]:
    """What a row is about, by the names of columns."""
    whose = {
        "run": row["run"],
        "weights": weights_title(row["weights"], row["training_step"]),
        "decoding": row["decoding"],
    }
    return whose | {column: _shown(row[key]) for column, key in _COLUMNS.items()}


def differing_facts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The facts in which rows differ, and at least one."""
    facts = list(map(facts_of, rows))
    return [name for name in facts[0] if len({of[name] for of in facts}) > 1] or ["weights"]


def common_facts(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The facts in which all rows agree."""
    differing = set(differing_facts(rows)) if len(rows) > 1 else set()
    return {name: fact for name, fact in facts_of(rows[0]).items() if name not in differing and fact}


def common_parts(names: Sequence[str]) -> list[str]:
    """The parts that the names of all runs have, as `lr=0.1` in `lr=0.1,seed=1` and `lr=0.1,seed=2`."""
    parts = [_SEPARATORS.split(name) for name in names]
    return (
        [part for part in parts[0] if all(part in others for others in parts)] if len(set(names)) > 1 else []
    )


def without_parts(name: str, told: Sequence[str]) -> str:
    """The name of a run without the parts that are told elsewhere; the whole name where nothing would be left."""
    return ",".join(part for part in _SEPARATORS.split(name) if part not in told) or name


def _shown(value: object) -> str:
    return "" if value is None else str(value)
