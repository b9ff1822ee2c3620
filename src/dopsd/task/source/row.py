"""One record of a data set."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """Values by column, and where they stand: a file and line, or a split and number."""

    values: Mapping[str, Any]
    where: str

    def get(self, *names: str) -> Any:
        """The first of these columns that there is, in capitals or not; raises ValueError where there is none."""
        for name in names:
            if name in self.values:
                return self.values[name]
        lowered = {str(column).lower(): value for column, value in self.values.items()}
        for name in names:
            if name.lower() in lowered:
                return lowered[name.lower()]
        there = ", ".join(map(str, self.values)) or "none"
        raise ValueError(f"{self.where}: has no column {' or '.join(names)} (there are {there})")
