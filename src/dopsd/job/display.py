"""What a user sees: progress bars with the time left, lines that stay, and the result at the end."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from dopsd import ranks
from dopsd.evaluation.interval import Interval


class Display:
    """Bars and lines on stderr (bars only on a terminal), the result on stdout; the first rank speaks for all."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True, highlight=False, quiet=not ranks.is_first()),
            transient=True,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Callable[..., None]]:
        """A bar that goes away when it is done."""
        bar = self._progress.add_task(title, total=total, note="")

        def advance(steps: int, note: str = "") -> None:
            self._progress.update(bar, advance=steps, note=note)

        try:
            yield advance
        finally:
            self._progress.remove_task(bar)

    def say(self, line: str) -> None:
        """A line that stays."""
        self._progress.console.print(line, markup=False)

    def result(self, title: str, accuracies: Mapping[str, Interval], *, where: Path) -> None:
        """Accuracies with their 95 % intervals, side by side, and where the files are."""
        n = next(iter(accuracies.values())).n
        table = Table(title=f"{title} (n = {n}, 95 % intervals)", title_justify="left")
        for name in accuracies:
            table.add_column(name)
        table.add_row(*(Text(str(accuracy)) for accuracy in accuracies.values()))
        console = Console(highlight=False, quiet=not ranks.is_first())
        console.print(table)
        console.print(f"files: {where}", markup=False, soft_wrap=True)
