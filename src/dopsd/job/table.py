"""Tables that fit the terminal: cells wrap between words, what is too wide goes on in a table below, nothing is cut."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dopsd import ranks
from dopsd.report.formats import markdown

__all__ = ["markdown", "panels", "show_table"]

_WORD = re.compile(
    r"\[[^\]]*\]\S*|\([^)]*\)\S*|\S+"
)  # what stands in brackets, as an interval, stays together
_BETWEEN, _AROUND = 3, 4  # characters that a table needs between two columns, and at its two ends


def show_table(
    title: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    where: Path,
    notes: Sequence[str] = (),
) -> None:
    """A table of texts on stdout, notes under it, and where the files are; only the first rank prints."""
    console = Console(highlight=False, quiet=not ranks.is_first())
    console.print(title, markup=False)
    cells = [head, *rows]
    for columns in panels(cells, console.width):
        console.print(_table([[row[i] for i in columns] for row in cells], console.width))
    for line in (*notes, f"files: {where}"):
        console.print(line, markup=False, soft_wrap=True)


def panels(rows: Sequence[Sequence[str]], width: int) -> Iterator[list[int]]:
    """The columns of each table: as many as fit with their longest words whole, the first column in all of them."""
    least = [_longest_word(column) + _BETWEEN for column in zip(*rows, strict=True)]
    columns = [0]
    for i in range(1, len(least)):
        if len(columns) > 1 and sum(least[j] for j in (*columns, i)) + _AROUND - _BETWEEN > width:
            yield columns
            columns = [0]
        columns.append(i)
    yield columns


def _table(rows: Sequence[Sequence[str]], width: int) -> Table:
    table = Table()
    columns = list(zip(*rows, strict=True))
    widths = list(map(_longest_word, columns))
    room = width - _AROUND + _BETWEEN - sum(least + _BETWEEN for least in widths)
    for i, column in enumerate(columns):
        wider = max(0, min(room, max(map(len, column)) - widths[i]))
        widths[i], room = widths[i] + wider, room - wider
    for name, wide in zip(rows[0], widths, strict=True):
        table.add_column(Text(name), width=max(1, min(wide, width - _AROUND)), overflow="fold")
    for row in rows[1:]:
        table.add_row(*(Text(_wrapped(cell, wide)) for cell, wide in zip(row, widths, strict=True)))
    return table


def _wrapped(text: str, width: int) -> str:
    lines: list[str] = []
    for word in _WORD.findall(text):
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)


def _longest_word(column: Sequence[str]) -> int:
    return max((len(word) for text in column for word in _WORD.findall(text)), default=1)
