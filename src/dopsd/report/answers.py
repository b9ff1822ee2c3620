"""The answers of an earlier evaluation or run, read back from its samples.jsonl."""

from pathlib import Path
from typing import get_args

from dopsd.task import VerdictWord
from dopsd.task.source.files import read_rows
from dopsd.task.source.row import text_of

SAMPLES = "samples.jsonl"


def read_shares(path: Path) -> dict[str, float]:
    """The share of correct answers to each example, by its id, from samples.jsonl or its directory.

    Raises ValueError where there is none, several, or one that cannot be read.
    """
    found: dict[str, list[bool]] = {}
    for row in read_rows(_file(path)):
        word = row.get("verdict")
        if word not in get_args(VerdictWord):
            raise ValueError(
                f"{row.where}: verdict {word!r} must be one of {', '.join(get_args(VerdictWord))}"
            )
        found.setdefault(text_of(row.get("id"), f"id in {row.where}"), []).append(word == "correct")
    return {identity: sum(right) / len(right) for identity, right in found.items()}


def _file(path: Path) -> Path:
    file = path / SAMPLES if path.is_dir() else path
    if file.is_file():
        return file
    below = sorted(str(file.parent) for file in path.rglob(SAMPLES))
    if below:
        raise ValueError(f"holds {len(below)} evaluations, name one of {', '.join(below)}")
    raise ValueError(f"must be an evaluation's or a run's directory (there is no {SAMPLES} in it)")
