"""What a user sees while a job runs: progress bars with the time left, and lines that stay."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from dopsd import ranks

ENDED_BY = "ended by"
"""How the last line of a log begins that tells why."""
_SIGN_S = 60  # between two signs of life
_LINE = logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S")


def note_end(log: Path, error: BaseException) -> None:
    """Writes into a log why what has not come as far as a Display has ended; not where a log says so already."""
    if log.exists() and ENDED_BY in log.read_text(encoding="utf-8").splitlines()[-1]:
        return
    line = _LINE.format(logging.makeLogRecord({"msg": _end(type(error), error)}))
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def _end(kind: type[BaseException], error: BaseException | None) -> str:
    return " ".join(f"{ENDED_BY} {kind.__name__}: {error}".split())


class EarlyWarnings(logging.Handler):
    """Inside, keeps what the program warns of, for a log that is not open yet."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps it."""
        self.records.append(record)

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)


class Display:
    """Bars and lines on stderr (bars only on a terminal); the first rank speaks for all.

    Every line also goes to the file `log`, behind what stands there, with the time; so do warnings of the program, and
    those `before` it. Between lines, progress of any kind is a sign of life: the file counts as written, once a minute.
    """

    def __init__(self, log: Path | None = None, before: Iterable[logging.LogRecord] = ()) -> None:
        self._console = Console(stderr=True, highlight=False, emoji=False, quiet=not ranks.is_first())
        self._has_bars = self._console.is_terminal and not self._console.is_dumb_terminal
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            transient=True,
            disable=not self._has_bars,
        )
        self._part: TaskID | None = None
        self._file, self._signed = log if ranks.is_first() else None, time.monotonic()
        self._log = logging.FileHandler(self._file, encoding="utf-8") if self._file else logging.NullHandler()
        self._log.setFormatter(_LINE)
        for record in before:
            self._log.handle(record)

    def __enter__(self) -> Self:
        self._progress.start()
        logging.getLogger().addHandler(self._log)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if kind is not None:
            self._keep(_end(kind, error))
        logging.getLogger().removeHandler(self._log)
        self._log.close()
        self._progress.stop()

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Callable[..., None]]:
        """A bar that goes away when it is done."""
        bar = self._progress.add_task(title, total=total, note="")

        def advance(steps: int, note: str = "") -> None:
            self._progress.update(bar, advance=steps, note=note)
            self._sign()

        try:
            yield advance
        finally:
            self._progress.remove_task(bar)

    def part(self, title: str, done: int, total: int) -> None:
        """How far a part of the current work is, as a bar of its own until it is done."""
        if self._part is None:
            self._part = self._progress.add_task(f"  {title}", total=total, note="")
        self._progress.update(self._part, description=f"  {title}", completed=done, total=total)
        self._sign()
        if done >= total:
            self._progress.remove_task(self._part)
            self._part = None

    def say(self, line: str) -> None:
        """A line that stays."""
        self._console.print(line, markup=False, soft_wrap=True)
        self._keep(line)

    def note(self, line: str) -> None:
        """A line for whoever has no bars: it stands in the log, and on stderr where that is no terminal with bars."""
        if not self._has_bars:
            self._console.print(line, markup=False, soft_wrap=True)
        self._keep(line)

    def _sign(self) -> None:
        if self._file and time.monotonic() - self._signed >= _SIGN_S:
            self._signed = time.monotonic()
            with suppress(OSError):  # nothing to lose a training for
                os.utime(self._file)

    def _keep(self, line: str) -> None:
        self._log.handle(logging.makeLogRecord({"msg": line}))
