"""Word problems: rows of a question and an answer, which is a number."""

import re
from fractions import Fraction

from dopsd.task.answer import write_response
from dopsd.task.question import QuestionTask
from dopsd.task.source.row import Record
from dopsd.task.word_problems.grading import GRADERS, number_gold

_INSTRUCTION = (
    "Solve this word problem. Work it out step by step between <reasoning> and </reasoning>, "
    "then give only the final number as <answer>\\boxed{number}</answer>."
)
_CALCULATOR = re.compile(r"<<[^<>]*>>")


class WordProblems(QuestionTask):
    """Rows of question and answer, the answer worked out and ending in `#### number` (or only the number)."""

    instruction = _INSTRUCTION
    graders = GRADERS

    def gold(self, row: Record) -> Fraction:
        """The final number."""
        return number_gold(row.get("answer"))

    def solution(self, row: Record, gold: Fraction) -> str | None:
        """The worked answer in the response format, without the calculator's marks."""
        worked, marked, number = str(row.get("answer")).rpartition("####")
        if not marked:
            return None
        return write_response(_CALCULATOR.sub("", worked).strip(), number.strip().replace(",", ""))
