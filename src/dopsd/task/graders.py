"""The graders of a task, and how they are asked about a generation that came from anywhere."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dopsd.task.verdict import Verdict

GraderName = Literal["strict", "field"]
Grader = Callable[[Any, str], Verdict]
"""Judges any string against a gold answer; never raises."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What an answer that is right in part is measured by, and what one that looks at no prompt reaches."""

    metric: str
    count: Callable[[Any], int]  # of how many parts a gold answer is
    chance: Callable[[Sequence[Any]], float]  # share of all parts that the best guess has right
    guess: str


@dataclass(frozen=True, kw_only=True)
class Graders:
    """How responses to one task are judged: by our rules, and by those of the d1 lineage of parsers where it has any.

    `gold` reads the gold answer from a row `question, ground_truth`; it raises GoldError where that cannot be read.
    """

    strict: Grader
    field: Grader | None = None
    gold: Callable[[Mapping[str, Any]], Any]
    parts: Parts | None = None

    @property
    def by_name(self) -> dict[GraderName, Grader]:
        """Those there are."""
        found: dict[GraderName, Grader] = {"strict": self.strict}
        return found if self.field is None else {**found, "field": self.field}

    def named(self, key: str, name: str) -> Grader:
        """The grader of that name; raises ValueError, naming the key, where there is none."""
        found = {**self.by_name}.get(name)  # pyright: ignore[reportArgumentType, reportCallIssue]
        if found is None:
            raise ValueError(f"{key}={name!r}: must be one of {', '.join(self.by_name)}")
        return found
