"""A table of texts as Markdown, CSV and LaTeX."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Table:
    """Texts under column heads; `name` is that of its file, `notes` stand below it."""

    name: str
    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    @property
    def as_markdown(self) -> str:
        """With its title above it."""
        notes = "".join(f"\n{note}\n" for note in self.notes)
        return f"### {self.title}\n\n{markdown(self.head, self.rows)}{notes}"

    @property
    def as_csv(self) -> str:
        """Rows only."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.head, *self.rows])
        return text.getvalue()

    @property
    def as_latex(self) -> str:
        """A tabular in booktabs' style, with its title as the caption."""
        frame = pd.DataFrame(list(self.rows), columns=list(self.head))
        return frame.to_latex(
            index=False, escape=True, caption=_escaped(self.title), label=f"tab:{self.name}"
        )


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table without a title; a cell stays one line and one cell, whatever stands in it."""
    rows = [[" ".join(cell.split()).replace("|", r"\|") for cell in row] for row in (head, *rows)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (rows[0], ["---"] * len(head), *rows[1:]))


def _escaped(text: str) -> str:
    for character in "&%$#_{}":
        text = text.replace(character, f"\\{character}")
    return text
