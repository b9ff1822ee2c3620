"""Answers to arithmetic: as those of word problems; a small model may also just say the number."""

import re
from fractions import Fraction

from dopsd.task.answer import read_answer, until_end_of_text, write_response
from dopsd.task.graders import Graders
from dopsd.task.verdict import Verdict
from dopsd.task.word_problems import grading

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?!\w)")
_TAIL = 2000  # characters, in which the last number is looked for


def strict(gold: Fraction, response: str) -> Verdict:
    """Judge the answer between tags or in a box by its exact value; where there is neither, the last number."""
    if read_answer(response) is None:
        numbers = _NUMBER.findall(until_end_of_text(response)[-_TAIL:])
        response = write_response("", numbers[-1]) if numbers else ""
    return grading.strict(gold, response)


GRADERS = Graders(strict=strict, field=grading.field, gold=grading.GRADERS.gold)
