"""One record of a data set, and what makes it unusable."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any

_LONGEST = 100_000  # characters of a text; no model has room for more
_HALF = re.compile("[\ud800-\udfff]")


class RowError(ValueError):
    """What stands in one row cannot be used: the row is left out and counted, the others stay."""


class GoldError(RowError):
    """A gold answer that cannot be read: such a row cannot be graded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """Values by column, and where they stand: a file and line, or a split and number."""

    values: Mapping[str, Any]
    where: str

    def get(self, *names: str) -> Any:
        """The first of these columns that there is, in capitals or not; raises ValueError where there is none.

        NaN, by which tables say that a value is missing, is None.
        """
        column = self._column(names)
        if column is None:
            there = ", ".join(map(str, self.values)) or "none"
            raise ValueError(f"{self.where}: has no column {' or '.join(names)} (there are {there})")
        value = self.values[column]
        return None if isinstance(value, float) and isnan(value) else value

    def optional(self, *names: str) -> Any:
        """The same, None where there is no such column."""
        return self.get(*names) if self._column(names) is not None else None

    def _column(self, names: tuple[str, ...]) -> str | None:
        for name in names:
            if name in self.values:
                return name
        lowered = {str(column).lower(): column for column in self.values}
        return next((lowered[name.lower()] for name in names if name.lower() in lowered), None)


def text_of(value: object, what: str) -> str:
    """A text without white space around it; raises RowError for anything that cannot be read, written or kept."""
    if not isinstance(value, str):
        raise RowError(f"the {what} is {short(value)}, not a text")
    text = value.strip()
    if not text:
        raise RowError(f"the {what} is empty")
    if len(text) > _LONGEST:
        raise RowError(f"the {what} is longer than {_LONGEST} characters")
    if not is_encodable(text):
        raise RowError(f"the {what} {short(text)} has half a character in it, which no file can hold")
    return text


def is_encodable(text: str) -> bool:
    """Whether a text can be written as UTF-8: half a character (a lone surrogate) can not."""
    return _HALF.search(text) is None


def short(value: object) -> str:
    """A value in a message."""
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
