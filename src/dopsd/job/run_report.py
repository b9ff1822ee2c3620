"""The report on a set of runs, from what is asked for to its files."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from omegaconf import DictConfig

from dopsd.config.build import prepare_top_level
from dopsd.config.errors import UserError
from dopsd.files import WritingError, missing_directories, write_text
from dopsd.job.found_runs import find_runs
from dopsd.job.table import show_table
from dopsd.method.budget import BUDGET
from dopsd.report.runs.page import page
from dopsd.report.runs.parts import Part, parts_of
from dopsd.setting import setting

FORMATS = ("markdown", "csv", "latex", "html")


@setting
class RunReport:
    """What is reported, of which runs, and where to; raises ValueError."""

    runs: list[str]
    out: str
    formats: list[str] | str
    weights: Literal["best", "final"]
    axis: str
    title: str | None

    def __post_init__(self) -> None:
        if not self.runs:
            raise ValueError("runs=[]: must be at least one folder")
        for name in self.wanted:
            if name not in FORMATS:
                raise ValueError(f"formats={name}: must be some of {', '.join(FORMATS)}")
        if self.axis not in BUDGET:
            raise ValueError(f"axis={self.axis}: must be one of {', '.join(BUDGET)}")

    @property
    def wanted(self) -> list[str]:
        """The formats."""
        return [self.formats] if isinstance(self.formats, str) else self.formats


def leave_run_report(config: DictConfig) -> None:
    """The files in the folder `out`, and the tables of arms on stdout; raises UserError."""
    asked: RunReport = prepare_top_level(config, RunReport)()
    out = Path(asked.out)
    try:
        missing_directories(out.absolute())
    except WritingError as error:
        raise UserError(f"out={out}: {error}") from error
    found = find_runs([Path(directory) for directory in asked.runs])
    parts = parts_of(found.runs, asked.weights)
    title = asked.title or f"{len(found.runs)} runs in {os.path.commonpath(map(os.path.abspath, asked.runs))}"
    out.mkdir(parents=True, exist_ok=True)
    for name, text in _texts(asked, title, parts).items():
        write_text(out / name, text)
    if "html" in asked.wanted:
        text = page(parts, found.probes, title=title, axes=BUDGET, chosen=asked.axis)
        write_text(out / "report.html", text)
    for part in parts:
        columns = part.arms_table.head[:-1]
        rows = [row[:-1] for row in part.arms_table.texts]
        show_table(part.arms_table.title, columns, rows, where=out)


def _texts(asked: RunReport, title: str, parts: Sequence[Part]) -> dict[str, str]:
    """By the name of a file, all but the page; the points of the curves only as CSV."""
    texts: dict[str, str] = {}
    tables = {name: table for part in parts for name, table in part.tables.items()}
    told = {name: table for name, table in tables.items() if not name.endswith("_curves")}
    if "markdown" in asked.wanted:
        texts["report.md"] = f"# {title}\n\n" + "\n".join(table.as_markdown for table in told.values())
    if "csv" in asked.wanted:
        texts |= {f"{name}.csv": table.as_csv for name, table in tables.items()}
    if "latex" in asked.wanted:
        texts["report.tex"] = "\n".join(table.as_latex for table in told.values())
    return texts
