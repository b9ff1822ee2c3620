"""GSM8K: word problems whose answer is a number."""

import re
from fractions import Fraction

from dopsd.task.answer import write_response
from dopsd.task.grading.gold import number_gold
from dopsd.task.grading.graders import GraderName
from dopsd.task.published_data import open_source
from dopsd.task.question import QuestionTask, question_of
from dopsd.task.source.hub import Hub, HubSplit
from dopsd.task.source.row import Record
from dopsd.task.source.source import Part

_INSTRUCTION = (
    "Solve this word problem. Work it out step by step between <reasoning> and </reasoning>, "
    "then give only the final number as <answer>\\boxed{number}</answer>."
)
_CALCULATOR = re.compile(r"<<[^<>]*>>")


class WordProblems(QuestionTask):
    """Rows of question and answer, the answer worked out and ending in `#### number` (or only the number)."""

    instruction = _INSTRUCTION

    def gold(self, row: Record) -> Fraction:
        """The final number."""
        return number_gold(row.get("answer"))

    def solution(self, row: Record, gold: Fraction) -> str | None:
        """The worked answer in the response format, without the calculator's marks."""
        worked, marked, number = str(row.get("answer")).rpartition("####")
        if not marked:
            return None
        return write_response(_CALCULATOR.sub("", worked).strip(), number.strip().replace(",", ""))


class GSM8K(WordProblems):
    """The benchmark, from the hub or from files."""

    name = "gsm8k"

    def __init__(
        self,
        *,
        source: str = "hub",
        path: str | None = None,
        dev: int = 512,
        limit: int | None = None,
        grader: GraderName = "strict",
        prompt_template: str | None = None,
    ) -> None:
        """Raises ValueError for a value out of range or data that cannot be read."""
        opened = open_source(
            source,
            path=path,
            dev=dev,
            columns=(("question",), ("answer",)),
            key=question_of,
            others={"hub": _hub},
        )
        super().__init__(opened, limit=limit, grader=grader, prompt_template=prompt_template)


def _hub() -> Hub:
    parts: dict[Part, list[HubSplit]] = {
        "train": [HubSplit(name="openai/gsm8k", configuration="main", split="train")],
        "test": [HubSplit(name="openai/gsm8k", configuration="main", split="test")],
    }
    return Hub(parts, key=question_of)
