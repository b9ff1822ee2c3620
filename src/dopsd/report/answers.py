"""The answers that an evaluation or a run left, read back: whose they are, and what they reached."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dopsd.evaluation.scores import Scores
from dopsd.task.source.files import read_rows
from dopsd.task.source.row import Record, text_of

SAMPLES = "samples.jsonl"
OF_A_RUN = "samples"
"""The directory with a run's answers on test, a file for each of its weights: base, best, final."""


def weights_title(weights: str, training_step: int | None) -> str:
    """Weights in words: `best (step 15)`."""
    return weights if training_step is None or weights == "base" else f"{weights} (step {training_step})"


@dataclass(frozen=True, kw_only=True)
class Answers:
    """A file of answers: `rows` are its lines, all of the same weights."""

    file: Path
    weights: str
    training_step: int | None
    rows: Sequence[Mapping[str, Any]]
    scores: Scores

    @classmethod
    def read(cls, path: Path, weights: str) -> "Answers":
        """Those in a file, in an evaluation's directory, or of these weights of a run; raises ValueError."""
        file = _file(path, weights)
        records = read_rows(file)
        first = records[0]
        metric = str(first.get("metric"))
        metrics = [
            (text_of(record.get("id"), f"id in {record.where}"), _metrics(record, metric))
            for record in records
        ]
        return cls(
            file=file,
            weights=str(first.get("weights")),
            training_step=first.get("training_step"),
            rows=[record.values for record in records],
            scores=Scores.of(metric, metrics),
        )

    @property
    def title(self) -> str:
        """Whose answers they are, and where they stand."""
        return f"{weights_title(self.weights, self.training_step)} of {self.file}"

    def as_dict(self) -> dict[str, Any]:
        """Whose they are, as JSON."""
        of = {"weights": self.weights, "training_step": self.training_step, "file": str(self.file)}
        return {**of, "n": self.scores.accuracy.n}


def _metrics(record: Record, metric: str) -> dict[str, float]:
    metrics = record.get("metrics")
    known = metrics if isinstance(metrics, dict) else {}
    if metric in known and all(isinstance(v, int | float) and 0 <= v <= 1 for v in known.values()):
        return known
    raise ValueError(
        f"{record.where}: metrics {metrics!r} must be numbers in 0..1 by name, {metric} among them"
    )


def _file(path: Path, weights: str) -> Path:
    """Raises ValueError where there is no such file, or where there are several."""
    if path.parent.name == "weights" and (path.parents[1] / OF_A_RUN).is_dir():
        path, weights = path.parents[1], path.name
    if path.is_file():
        return path
    if (path / SAMPLES).is_file():
        return path / SAMPLES
    if (path / OF_A_RUN).is_dir():
        return _of_a_run(path, weights)
    below = {file.parent for file in path.rglob(SAMPLES)} | {
        d.parent for d in path.rglob(OF_A_RUN) if d.is_dir()
    }
    if below:
        there = ", ".join(sorted(map(str, below)))
        raise ValueError(f"holds {len(below)} evaluations or runs, name one of {there}")
    raise ValueError(f"must be an evaluation's or a run's directory (there is no {SAMPLES} in it)")


def _of_a_run(run: Path, weights: str) -> Path:
    file = run / OF_A_RUN / f"{weights}.jsonl"
    if not file.is_file():
        there = ", ".join(sorted(found.stem for found in file.parent.glob("*.jsonl"))) or "none"
        raise ValueError(f"weights={weights}: the run has no answers of them on test (there are: {there})")
    return file
