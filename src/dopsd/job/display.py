"""What a user sees: progress bars with the time left, lines that stay, and the result at the end."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
        row = [str(accuracy) for accuracy in accuracies.values()]
        self.table(f"{title} (n = {n}, 95 % intervals)", list(accuracies), [row], where=where)

    def table(
        self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, where: Path
    ) -> None:
        """A table of texts, and where the files are."""
        table = Table(title=title, title_justify="left")
        for name in columns:
            table.add_column(name)
        for row in rows:
            table.add_row(*map(Text, row))
        console = Console(highlight=False, quiet=not ranks.is_first())
        console.print(table)
        console.print(f"files: {where}", markup=False, soft_wrap=True)
