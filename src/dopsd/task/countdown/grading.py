"""Countdown answers: every number once and exactly the target."""

import re
from dataclasses import replace

from dopsd.task.answer import read_answer
from dopsd.task.countdown.gold import CountdownGold, gold_of_row
from dopsd.task.graders import Graders
from dopsd.task.grading.calculation import MAX_LENGTH, Arithmetic, python_value, sides
from dopsd.task.grading.field_reading import first_tagged, last_boxed, without_tail
from dopsd.task.grading.wrapping import unwrapped
from dopsd.task.verdict import Verdict

WRONG = Verdict(accepted=False, score=0.0)
RIGHT = Verdict(accepted=True, score=1.0)
NO_ANSWER = Verdict(accepted=False, score=0.0, answered=False)
_OPERATORS = (("\\div", "/"), ("\\times", "*"), ("\\cdot", "*"))
_ARITHMETIC = "0123456789+-*/() "
_EQUATION = re.compile(r"[0-9+\-*/() ]=[0-9. ]")
_NUMBER = re.compile(r"[0-9]+")
_TOLERANCE = 1e-5


def strict(gold: CountdownGold, response: str) -> Verdict:
    """Judge the last answer by exact rational arithmetic."""
    answer = read_answer(response)
    if not answer:
        return NO_ANSWER
    answer = unwrapped(answer)
    if "." in answer:
        return replace(WRONG, answer=answer)  # a number as it was given has no point
    try:
        parts = sides(answer)
    except ValueError:
        return replace(WRONG, answer=answer)
    right = parts[0].value == gold.target and any(_uses(part, gold) for part in (parts[0], parts[-1]))
    return replace(RIGHT if right else WRONG, answer=answer)


def _uses(part: Arithmetic, gold: CountdownGold) -> bool:
    return sorted(part.numbers) == sorted(gold.numbers) and part.operators <= set(gold.operations)


def field(gold: CountdownGold, response: str) -> Verdict:
    """Judge the last box, or a first equation anywhere, by the numbers in it and its floating-point value."""
    expression = _field_expression(without_tail(response))
    if len(expression) > MAX_LENGTH:
        return WRONG
    numbers = [int(found) for found in _NUMBER.findall(expression)]
    if not numbers:
        return NO_ANSWER
    try:
        right = (
            sorted(numbers) == sorted(gold.numbers)
            and abs(python_value(expression) - gold.target) < _TOLERANCE
        )
    except ValueError:
        right = False
    return replace(RIGHT if right else WRONG, answer=expression)


def _field_expression(response: str) -> str:
    text = last_boxed(response)
    if text is None:
        text = first_tagged(response)
    if text is None:
        text = response
    for latex, operator in _OPERATORS:
        text = text.replace(latex, operator)
    return _left_side(text) or text


def _left_side(text: str) -> str | None:
    """The arithmetic before the first `= number` that has any."""
    equals = _EQUATION.search(text)
    if equals is None:
        return None
    before = text[max(equals.start() - MAX_LENGTH, 0) : equals.start() + 1]
    return before[len(before.rstrip(_ARITHMETIC)) :].strip()


GRADERS = Graders(strict=strict, field=field, gold=gold_of_row)
