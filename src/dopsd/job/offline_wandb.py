"""Runs of which only W&B's offline folders are there, read by W&B's own reader; nothing is sent anywhere."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from dopsd.config.errors import UserError
from dopsd.evaluation.interval import Interval
from dopsd.job.metrics_file import STEP
from dopsd.report.runs.run import WEIGHTS


@dataclass
class OfflineRun:
    """What W&B has of a run: its config, the last value of everything, a row a training step, how it ended."""

    directory: Path
    config: dict[str, Any] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)
    rows: dict[float, dict[str, float]] = field(default_factory=dict)
    exit_code: int | None = None

    @property
    def curve(self) -> list[dict[str, float]]:
        """The rows as metrics.csv has them."""
        return [{STEP: step, **self.rows[step]} for step in sorted(self.rows)]

    @property
    def results(self) -> dict[str, Interval]:
        """The figures on test by weights; empty where the run has not ended."""
        names = [one.name for one in fields(Interval)]
        if any(f"test/{of}/{name}" not in self.last for of in WEIGHTS for name in names):
            return {}
        return {of: Interval(**{name: self.last[f"test/{of}/{name}"] for name in names}) for of in WEIGHTS}

    def take(self, record: Mapping[str, Any]) -> None:
        """Adds one record of the file."""
        match record:
            case {"config": {"update": update}}:
                self.config |= update
            case {"summary": {"update": update}}:
                self.last |= update
            case {"history": {"item": {"training_step": step, **item}}}:
                numbers = {k: float(v) for k, v in item.items() if "/" in k and isinstance(v, int | float)}
                self.rows[step] = self.rows.get(step, {}) | numbers
            case {"exit": of_the_end}:
                self.exit_code = of_the_end.get("exit_code", 0)


def read_offline(folders: Sequence[Path]) -> Iterator[OfflineRun]:
    """The runs in folders named offline-run-TIME-ID; what belongs to one id is one run. Raises UserError."""
    by_id: dict[str, list[Path]] = {}
    for folder in sorted(folders):
        by_id.setdefault(folder.name.rpartition("-")[2], []).append(folder)
    for of_one in by_id.values():
        run = OfflineRun(directory=of_one[-1])
        for folder in of_one:
            run.exit_code = None
            for record in _records(folder):
                run.take(record)
        yield run


def _records(folder: Path) -> Iterator[Mapping[str, Any]]:
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(folder)]
    read = subprocess.run(command, capture_output=True, text=True, check=False)
    if read.returncode:
        raise UserError(f"runs={folder}: W&B cannot read it ({read.stderr.strip()})")
    return map(json.loads, read.stdout.splitlines())
