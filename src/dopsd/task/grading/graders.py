"""The two graders of each task, and how they are asked about a generation that came from anywhere."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dopsd.task.grading import countdown, gsm8k, math500, sudoku
from dopsd.task.grading.gold import GoldError, countdown_gold, math_gold, number_gold, puzzle_in, sudoku_gold
from dopsd.task.task import Verdict

GraderName = Literal["strict", "field"]
GRADER_NAMES: tuple[GraderName, ...] = ("strict", "field")


@dataclass(frozen=True, kw_only=True)
class Graders:
    """How responses to one task are judged: by our rules, or by those of the d1 lineage of parsers."""

    strict: Callable[[Any, str], Verdict]
    field: Callable[[Any, str], Verdict]
    gold: Callable[[Mapping[str, Any]], Any]

    def verdict(self, grader: GraderName, gold: Any, response: str) -> Verdict:
        """Judge any string against a gold answer; never raises."""
        return (self.strict if grader == "strict" else self.field)(gold, response)


def check_grader(key: str, value: object) -> None:
    """Raise ValueError, naming the key, unless there is such a grader."""
    if value not in GRADER_NAMES:
        raise ValueError(f"{key}={value!r}: must be one of {', '.join(GRADER_NAMES)}")


def _countdown(row: Mapping[str, Any]) -> countdown.CountdownGold:
    truth = row["ground_truth"]
    if not isinstance(truth, list) or len(truth) != 2:
        raise GoldError(f"ground_truth {truth!r} is not [[numbers], target]")
    return countdown_gold(*truth)


_NUMBER = Graders(strict=gsm8k.strict, field=gsm8k.field, gold=lambda row: number_gold(row["ground_truth"]))

GRADERS = {
    "countdown": Graders(strict=countdown.strict, field=countdown.field, gold=_countdown),
    "sudoku": Graders(
        strict=sudoku.strict,
        field=sudoku.field,
        gold=lambda row: sudoku_gold(puzzle_in(str(row["question"])), row["ground_truth"]),
    ),
    "gsm8k": _NUMBER,
    "gsm_symbolic": _NUMBER,
    "math500": Graders(
        strict=math500.strict, field=math500.field, gold=lambda row: math_gold(row["ground_truth"])
    ),
}
"""By the name of the task; `gold` reads the gold answer from a row `question, generation, ground_truth`."""
