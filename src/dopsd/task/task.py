"""What a task is: examples of three disjoint splits, and a verdict on a response."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from dopsd.task.graders import Graders
from dopsd.task.verdict import Verdict

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")


@dataclass(frozen=True, kw_only=True)
class Example:
    """One prompt (the user's message), a reference response where one exists, and what the verdict needs."""

    id: str
    prompt: str
    solution: str | None
    gold: Any


class Task(ABC):
    """A source of examples whose ids start with the task's name, and the judge of responses to them.

    `metric` is the one of the verdicts' metrics that is reported, and by which the best weights are chosen on dev.
    `graders`, where there are any, judge generations that come with a gold answer of their own (`dopsd.grade`).
    """

    name: str
    metric: str = "correct"
    graders: ClassVar[Graders | None] = None

    @abstractmethod
    def examples(self, split: Split) -> Sequence[Example]:
        """The examples of one split, always the same; raises ValueError for an unknown or too large split."""

    @abstractmethod
    def verdict(self, example: Example, response: str) -> Verdict:
        """Judge a response, which may be any string at all; never raises."""

    def left_out(self, split: Split) -> int:
        """How many rows of a split are no examples because they cannot be used."""
        return 0

    def chance(self, examples: Sequence[Example]) -> dict[str, float]:
        """What the best of the answers that look at no prompt reach on average, by the names in `Verdict.metrics`."""
        return {}


def check_split(split: str) -> None:
    """Raise ValueError unless the split exists."""
    if split not in SPLITS:
        raise ValueError(f"split={split!r}: must be one of {', '.join(SPLITS)}")


def check_integer(key: str, value: object, low: int, high: int | None = None) -> None:
    """Raise ValueError, naming the key, unless the value is an integer in low..high."""
    if (
        isinstance(value, int)
        and not isinstance(value, bool)
        and low <= value
        and (high is None or value <= high)
    ):
        return
    allowed = f"at least {low}" if high is None else f"in {low}..{high}"
    raise ValueError(f"{key}={value!r}: must be an integer {allowed}")


def check_share(key: str, value: object) -> None:
    """Raise ValueError, naming the key, unless the value is a number in 0..1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{key}={value!r}: must be a number in 0..1")
