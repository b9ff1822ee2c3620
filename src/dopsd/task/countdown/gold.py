"""What a Countdown answer is judged by."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dopsd.task.countdown.expression import OPERATIONS
from dopsd.task.source.row import GoldError, short

_MAX_NUMBERS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class CountdownGold:
    """What a response is judged by: the numbers as shown, the target and the operators allowed."""

    numbers: tuple[int, ...]
    target: int
    operations: str = OPERATIONS

    def __str__(self) -> str:
        return f"{self.target} from {', '.join(map(str, self.numbers))}"


def countdown_gold(numbers: object, target: object, operations: str = "+-*/") -> CountdownGold:
    """Numbers as a list or a text with commas, and a target."""
    parts = re.split(r"[,\s]+", numbers.strip(" []")) if isinstance(numbers, str) else numbers
    try:
        if not isinstance(parts, list | tuple) or not 0 < len(parts) <= _MAX_NUMBERS:
            raise ValueError("not some numbers")
        values = tuple(map(_integer, parts))
        return CountdownGold(numbers=values, target=_integer(target), operations=operations)
    except ValueError as error:
        raise GoldError(f"numbers {short(numbers)} and target {short(target)} are no puzzle") from error


def gold_of_row(row: Mapping[str, Any]) -> CountdownGold:
    """The gold answer `[[numbers], target]` of a generation."""
    truth = row["ground_truth"]
    if not isinstance(truth, list) or len(truth) != 2:
        raise GoldError(f"ground_truth {truth!r} is not [[numbers], target]")
    return countdown_gold(*truth)


def _integer(value: object) -> int:
    text = str(value).strip().removesuffix(".0")
    if not re.fullmatch(r"-?[0-9]{1,15}", text):
        raise ValueError(text)
    return int(text)
