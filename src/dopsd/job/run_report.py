"""The report on a set of runs, from what is asked for to its files."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from omegaconf import DictConfig

from dopsd.config.build import prepare_top_level
from dopsd.config.errors import UserError
from dopsd.files import WritingError, missing_directories, write_text
from dopsd.job.found_runs import Found, find_runs
from dopsd.job.table import show_table
from dopsd.method.budget import BUDGET
from dopsd.report.formats import Table
from dopsd.report.runs.overlaps import other_probes, overlaps_of
from dopsd.report.runs.page import page
from dopsd.report.runs.parts import parts_of
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
    parts, overlaps = parts_of(found.runs, asked.weights), overlaps_of(found.probes)
    left_out = other_probes(found.probes)
    if not parts and not overlaps:
        raise UserError(f"runs={','.join(asked.runs)}: has neither runs nor overlap probes in it. {left_out}")
    title = asked.title or f"{_counted(found)} in {os.path.commonpath(map(os.path.abspath, asked.runs))}"
    tables = [table for part in parts for table in part.tables]
    tables += [table for of in overlaps for table in (of.table, of.steps_table)]
    out.mkdir(parents=True, exist_ok=True)
    for name, text in _texts(asked, title, tables, left_out).items():
        write_text(out / name, text)
    if "html" in asked.wanted:
        text = page(parts, overlaps, title=title, axes=BUDGET, chosen=asked.axis, left_out=left_out)
        write_text(out / "report.html", text)
    for part in parts:
        columns = part.arms_table.head[:-1]
        rows = [row[:-1] for row in part.arms_table.texts]
        show_table(part.arms_table.title, columns, rows, where=out)
    for of in overlaps:
        show_table(of.table.title, of.table.head, of.table.texts, where=out)


def _counted(found: Found) -> str:
    counts = {"runs": len(found.runs), "probes": len(found.probes)}
    return " and ".join(f"{count} {what}" for what, count in counts.items() if count)


def _texts(asked: RunReport, title: str, tables: Sequence[Table], left_out: str) -> dict[str, str]:
    """By the name of a file, all but the page."""
    texts: dict[str, str] = {}
    told = [table for table in tables if not table.is_for_programs]
    if "markdown" in asked.wanted:
        heading = f"# {title}\n\n" + (f"{left_out}\n\n" if left_out else "")
        texts["report.md"] = heading + "\n".join(table.as_markdown for table in told)
    if "csv" in asked.wanted:
        texts |= {f"{table.name}.csv": table.as_csv for table in tables}
    if "latex" in asked.wanted:
        texts["report.tex"] = "\n".join(table.as_latex for table in told)
    return texts
