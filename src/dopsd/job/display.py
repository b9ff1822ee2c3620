"""What a user sees: progress bars with the time left, lines that stay, and the result at the end."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from dopsd.evaluation.interval import Interval


class Advance(Protocol):
    """Moves a bar on, with a note beside it."""

    def __call__(self, steps: int, note: str = "") -> None: ...


class Display:
    """Bars and lines on stderr (bars only on a terminal), the result on stdout."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True, highlight=False),
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

    def result(self, title: str, rows: Mapping[str, Interval], note: str) -> None:
        """Accuracies with their intervals, and where the files are."""
        table = Table(title=title, title_justify="left")
        for column in ("", "accuracy", "95 % interval", "n"):
            table.add_column(column, justify="left" if not column else "right")
        for name, it in rows.items():
            interval = f"[{100 * it.low:.1f}, {100 * it.high:.1f}]"
            table.add_row(name, f"{100 * it.accuracy:.1f} %", interval.replace("[", r"\["), str(it.n))
        console = Console(highlight=False)
        console.print(table)
        console.print(note, markup=False, soft_wrap=True)
