"""What an evaluation, or a comparison of two, leaves: a table on the terminal, files in a directory."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dopsd import ranks
from dopsd.config.build import prepare_top_level
from dopsd.config.errors import UserError
from dopsd.evaluation.paired import PairedComparison
from dopsd.files import WritingError, missing_directories, write_text
from dopsd.job.run_directory import RunDirectory
from dopsd.report.answers import read_shares
from dopsd.report.manifest import manifest
from dopsd.report.page import page
from dopsd.report.report import header, lines, notes, report
from dopsd.report.row import ReportRow
from dopsd.setting import setting

_WIDTH = 160  # characters, where the output is no terminal


@setting
class ReportOptions:
    """Which reports are wanted; raises ValueError."""

    html: bool | str
    baseline: str | None
    compare: list[str] | None

    def __post_init__(self) -> None:
        if self.compare is not None and len(self.compare) != 2:
            raise ValueError(f"compare=[{','.join(self.compare)}] must be two evaluations, [A,B]")
        if isinstance(self.html, str):
            _check_page(Path(self.html))

    @classmethod
    def of(cls, config: DictConfig) -> "ReportOptions":
        """Raises UserError for a wrong value."""
        return prepare_top_level(config, cls)()


def _check_page(file: Path) -> None:
    """Raises ValueError where it cannot be written."""
    try:
        missing_directories(file.absolute().parent)
    except WritingError as error:
        raise ValueError(f"html={str(file)!r} must be a file in a writable directory") from error
    if file.is_dir():
        raise ValueError(f"html={str(file)!r} must be true, or a file and no directory")


def reading(key: str, path: Path) -> dict[str, float]:
    """The share of correct answers to each example of an earlier evaluation; raises UserError."""
    try:
        return read_shares(path)
    except ValueError as error:
        raise UserError(f"{key}={path}: {error}") from error


def compare(paths: Sequence[str], directory: Path) -> None:
    """Two evaluations of the same examples: second minus first, in the terminal and in comparison.json."""
    first, second = (reading("compare", Path(path)) for path in paths)
    try:
        comparison = PairedComparison.of(first, second)
    except ValueError as error:
        raise UserError(f"compare=[{','.join(paths)}]: {error}") from error
    content = {"first": paths[0], "second": paths[1], "comparison": asdict(comparison)}
    RunDirectory(directory).write_json("comparison.json", content)
    test = comparison.mcnemar
    counts = [] if test is None else [("only first", test.only_first), ("only second", test.only_second)]
    head = [f"first: {paths[0]}", f"second: {paths[1]}", "second - first", *(name for name, _ in counts)]
    cells = [f"{100 * comparison.first:.1f} %", f"{100 * comparison.second:.1f} %", str(comparison)]
    title = f"paired comparison (n = {comparison.n}, 95 % interval)"
    _print(title, head, [[*cells, *(str(count) for _, count in counts)]], where=directory)


def leave_report(
    rows: Sequence[ReportRow],
    wanted: ReportOptions,
    *,
    config: DictConfig,
    device: torch.device,
    directory: Path,
) -> None:
    """evaluation.json, the table, and the page where it is wanted; `config` is that of any row."""
    made_with = manifest(device, dtype=config.model.dtype, attention=config.model.attention)
    content = report(rows, overrides=config.command.overrides, manifest=made_with)
    run = RunDirectory(directory)
    run.write_json("evaluation.json", content)
    if not ranks.is_first():
        return
    first, tasks = content["rows"][0], dict.fromkeys(row["task"] for row in content["rows"])
    title = f"{', '.join(tasks)}, accuracy on {first['split']} (n = {first['n']}, 95 % intervals)"
    _print(title, header(content), lines(content), notes(content), where=directory)
    if wanted.html:  # last: what is decoded is written and shown by now
        file = directory / "evaluation.html" if wanted.html is True else Path(wanted.html)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, page(content, [row.evaluation.samples for row in rows]))


def _print(
    title: str, head: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str] = (), *, where: Path
) -> None:
    table = Table(title=Text(title), title_justify="left")
    for name in head:
        table.add_column(Text(name))
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    console.print(table)
    for line in notes:
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"files: {where}", markup=False, soft_wrap=True)
