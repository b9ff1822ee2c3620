"""A table as Markdown and LaTeX, for readers, and as CSV, for programs."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

_LATEX_END = r"\end{table}"
_LATEX = str.maketrans(
    {c: rf"\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """A cell of several numbers: one text for readers, a column for each of them as CSV."""

    text: str = "-"
    numbers: Mapping[str, float | None] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Any) -> "Figures":
        """Of a mean with its interval, or of nothing."""
        return cls() if found is None else cls(text=str(found), numbers=vars(found))


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells under column heads; `name` is that of its file, `notes` stand below it.

    One `is_for_programs` where it is as long as a curve: such a table is only written as CSV.
    """

    name: str
    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str | Figures]]
    notes: Sequence[str] = ()
    is_for_programs: bool = False

    @property
    def texts(self) -> list[list[str]]:
        """The cells as they are read."""
        return [[cell.text if isinstance(cell, Figures) else cell for cell in row] for row in self.rows]

    @property
    def as_markdown(self) -> str:
        """With its title above it."""
        notes = "".join(f"\n{note}\n" for note in self.notes)
        return f"### {self.title}\n\n{markdown(self.head, self.texts)}{notes}"

    @property
    def as_csv(self) -> str:
        """Rows only; numbers are whole, shares between 0 and 1, and empty where there are none."""
        columns = [_csv_columns(*column) for column in zip(self.head, *self.rows, strict=True)]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(
            zip(*(each for column in columns for each in column), strict=True)
        )
        return text.getvalue()

    @property
    def as_latex(self) -> str:
        """A tabular in booktabs' style, with its title as the caption and its notes below."""
        frame = pd.DataFrame(self.texts, columns=list(self.head))
        table = frame.to_latex(
            index=False, escape=True, caption=_escaped(self.title), label=f"tab:{self.name}"
        )
        notes = "".join(f"\\par\\footnotesize {_escaped(note)}\n" for note in self.notes)
        return table.replace(_LATEX_END, notes + _LATEX_END)


def _csv_columns(head: str, *cells: str | Figures) -> list[list[Any]]:
    names = dict.fromkeys(name for cell in cells if isinstance(cell, Figures) for name in cell.numbers)
    if not names:
        return [[head, *(cell.text if isinstance(cell, Figures) else cell for cell in cells)]]
    found = [cell.numbers if isinstance(cell, Figures) else {} for cell in cells]
    return [[f"{head} {name}".strip(), *(numbers.get(name) for numbers in found)] for name in names]


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table without a title; a cell stays one line and one cell, whatever stands in it."""
    rows = [[" ".join(cell.split()).replace("|", r"\|") for cell in row] for row in (head, *rows)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (rows[0], ["---"] * len(head), *rows[1:]))


def _escaped(text: str) -> str:
    return text.translate(_LATEX)
