"""GSM8K answers: one number."""

import re
from fractions import Fraction

from dopsd.task.answer import read_answer
from dopsd.task.grading.equivalence import same, without_units
from dopsd.task.grading.field_reading import boxed_on_one_line, first_tagged
from dopsd.task.grading.latex_reader import read_latex
from dopsd.task.grading.latex_value import constant
from dopsd.task.task import Verdict

_NUMBER = re.compile(r"-?[0-9]+\.?[0-9]*")
_WRITTEN_NUMBER = re.compile(r"-?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?|-?\.[0-9]+")
_DOTS = re.compile(r"\.*")
_MAX_ANSWER = 300  # characters
_MAX_LENGTH = 2000


def strict(gold: Fraction, response: str) -> Verdict:
    """Judge the last answer by its exact value, whatever words and units stand around it."""
    answer = read_answer(response)
    right = answer is not None and len(answer) <= _MAX_ANSWER and _is_worth(answer, gold)
    return Verdict(accepted=right, score=float(right), answered=bool(answer), answer=answer)


def field(gold: Fraction, response: str) -> Verdict:
    """Judge the first box that holds a number, or else the last number between the answer tags."""
    value = _field_value(response)
    right = value is not None and value == float(gold)
    read = None if value is None else f"{value:.15g}"
    return Verdict(accepted=right, score=float(right), answered=value is not None, answer=read)


def _is_worth(answer: str, gold: Fraction) -> bool:
    try:
        if same(read_latex(without_units(answer)), constant(gold)):
            return True
    except ValueError:
        pass
    written = {_number(found) for found in _WRITTEN_NUMBER.findall(answer)}
    return written == {gold}


def _number(text: str) -> Fraction:
    return Fraction(text.replace(",", ""))


def _field_value(response: str) -> float | None:
    for content in boxed_on_one_line(response):
        if _DOTS.fullmatch(content):
            continue
        value = _as_number(content, which=0)
        if value is not None:
            return value
    return _as_number((first_tagged(response) or "")[:_MAX_LENGTH], which=-1)


def _as_number(text: str, which: int) -> float | None:
    """The text as a number, or one of the numbers in it."""
    try:
        return float(text)
    except ValueError:
        found = _NUMBER.findall(text)
        return float(found[which]) if found else None
