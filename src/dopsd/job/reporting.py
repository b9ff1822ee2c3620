"""What an evaluation, or a comparison of two, leaves: a table on the terminal, files in a directory."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from omegaconf import DictConfig

from dopsd import ranks
from dopsd.config.build import prepare_top_level
from dopsd.config.errors import UserError
from dopsd.evaluation.paired import PairedComparison
from dopsd.files import WritingError, missing_directories, write_text
from dopsd.job.run_directory import RunDirectory
from dopsd.job.table import show_table
from dopsd.report.answers import Answers
from dopsd.report.manifest import manifest
from dopsd.report.page import comparison_page, page
from dopsd.report.report import header, lines, notes, report, title
from dopsd.report.row import ReportRow
from dopsd.report.shown import ShownAnswers
from dopsd.setting import setting


@setting
class ReportOptions:
    """Which reports are wanted; raises ValueError."""

    html: bool | str
    baseline: str | None
    compare: list[str] | None
    weights: Literal["base", "best", "final"]

    def __post_init__(self) -> None:
        if self.compare is not None and len(self.compare) not in (1, 2):
            raise ValueError(
                f"compare=[{','.join(self.compare)}] must be two evaluations or runs, [A,B], or one run"
            )
        if isinstance(self.html, str):
            _check_page(Path(self.html))

    @classmethod
    def of(cls, config: DictConfig) -> "ReportOptions":
        """Raises UserError for a wrong value."""
        return prepare_top_level(config, cls)()

    @property
    def compared(self) -> tuple[Answers, Answers]:
        """The two sets of answers, or those of the base weights and of others of one run; raises UserError."""
        paths = [Path(path) for path in self.compare or []]
        if len(paths) == 1:
            before, after = "base", "best" if self.weights == "base" else self.weights
            return reading("compare", paths[0], before), reading("compare", paths[0], after)
        first, second = (reading("compare", path, self.weights) for path in paths)
        return first, second

    def write_page(self, text: str, file: Path) -> None:
        """The page in this file, or where it was asked for."""
        file = Path(self.html) if isinstance(self.html, str) else file
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, text)


def _check_page(file: Path) -> None:
    """Raises ValueError where it cannot be written."""
    try:
        missing_directories(file.absolute().parent)
    except WritingError as error:
        raise ValueError(f"html={str(file)!r} must be a file in a writable directory") from error
    if file.is_dir():
        raise ValueError(f"html={str(file)!r} must be true, or a file and no directory")


def reading(key: str, path: Path, weights: str) -> Answers:
    """The answers of an earlier evaluation, or of these weights of a run; raises UserError."""
    try:
        return Answers.read(path, weights)
    except ValueError as error:
        raise UserError(f"{key}={path}: {error}") from error


def compare(wanted: ReportOptions, directory: Path) -> None:
    """Two sets of answers to the same examples: second minus first, in the terminal and in comparison.json."""
    first, second = wanted.compared
    try:
        comparisons = _compared(first, second)
    except ValueError as error:
        raise UserError(f"compare=[{','.join(wanted.compare or [])}]: {error}") from error
    metric = second.scores.metric
    content = {
        "first": first.as_dict(),
        "second": second.as_dict(),
        "metric": metric,
        "comparison": asdict(comparisons[metric]),
        "metrics": {name: asdict(comparison) for name, comparison in comparisons.items()},
    }
    RunDirectory(directory).write_json("comparison.json", content)
    head = ["metric", "first", "second", "second - first", "only first right", "only second right"]
    rows = [_line(name, comparison) for name, comparison in comparisons.items()]
    said = f"paired comparison (n = {comparisons[metric].n}, 95 % intervals)"
    whose = [f"first: {first.title}", f"second: {second.title}"]
    if wanted.html:
        shown = [ShownAnswers.read(of) for of in (first, second)]
        wanted.write_page(comparison_page(said, head, rows, whose, shown), directory / "comparison.html")
    show_table(said, head, rows, notes=whose, where=directory)


def _compared(first: Answers, second: Answers) -> dict[str, PairedComparison]:
    """By metric, the one that is reported first."""
    reported = second.scores.metric
    common = [
        reported,
        *(name for name in second.scores.shares if name != reported and name in first.scores.shares),
    ]
    return {name: first.scores.compared(second.scores.by(name)) for name in common}


def _line(metric: str, comparison: PairedComparison) -> list[str]:
    test = comparison.mcnemar
    counts = ["", ""] if test is None else [str(test.only_first), str(test.only_second)]
    shares = [f"{100 * share:.1f} %" for share in (comparison.first, comparison.second)]
    return [metric, *shares, str(comparison), *counts]


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
    content: dict[str, Any] = report(rows, overrides=config.command.overrides, manifest=made_with)
    RunDirectory(directory).write_json("evaluation.json", content)
    show_table(title(content), header(content), lines(content), notes=notes(content), where=directory)
    if wanted.html and ranks.is_first():  # last: what is decoded is written and shown by now
        baselines = {row.baseline.file: row.baseline for row in rows if row.baseline}
        shown = [
            *map(ShownAnswers.read, baselines.values()),
            *(ShownAnswers.of(row.title, row.evaluation) for row in rows),
        ]
        wanted.write_page(page(content, shown), directory / "evaluation.html")
