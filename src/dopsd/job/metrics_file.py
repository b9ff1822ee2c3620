"""metrics.csv: one row a training step (0: before the first), readable at any time, continued by a resumed run."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from dopsd.files import written_whole

STEP, SECONDS = "step", "time/wall_s"


class MetricsFile(Logger):
    """Writes each row as it comes, with `seconds()` since the start; a resumed run first forgets what it repeats."""

    def __init__(self, file: Path, *, seconds: Callable[[], float]):
        super().__init__()
        self._seconds = seconds
        self._file = file
        self._rows = read_metrics(file)
        self._columns = list(dict.fromkeys(name for row in self._rows for name in row)) or [STEP]
        self._is_continued = bool(self._rows)

    @property
    def name(self) -> str:
        """What Lightning calls it."""
        return "metrics"

    @property
    def version(self) -> int:
        """A run has one."""
        return 0

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """They stand in config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Adds a row, or to the last row where it is of the same step."""
        assert step is not None
        if self._is_continued:
            self._rows = [row for row in self._rows if row[STEP] < step]
            self._is_continued = False
        is_new = not self._rows or self._rows[-1][STEP] != step
        if is_new:
            self._rows.append({STEP: step})
        self._rows[-1].update(metrics)
        self._rows[-1][SECONDS] = round(self._seconds(), 3)
        new_columns = [name for name in self._rows[-1] if name not in self._columns]
        self._columns += new_columns
        if is_new and not new_columns and len(self._rows) > 1:
            self._append()
        else:
            self._rewrite()

    def _append(self) -> None:
        with self._file.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._columns).writerow(self._rows[-1])

    def _rewrite(self) -> None:
        with written_whole(self._file) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._columns)
            writer.writeheader()
            writer.writerows(self._rows)


def read_metrics(file: Path) -> list[dict[str, float]]:
    """The rows of a metrics.csv, without their empty cells; none where there is no file."""
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as opened:
        return [
            {name: float(value) for name, value in row.items() if value} for row in csv.DictReader(opened)
        ]
