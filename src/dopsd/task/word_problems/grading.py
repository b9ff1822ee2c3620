"""Word problems' answers: one number, and around it nothing that could make it another."""

import re
from fractions import Fraction

from dopsd.task.answer import read_answer
from dopsd.task.graders import Graders
from dopsd.task.grading.calculation import sides
from dopsd.task.grading.field_reading import boxed_on_one_line, first_tagged
from dopsd.task.grading.latex import MAX_LENGTH, UnreadError, tidy, without_style
from dopsd.task.grading.units import without_unit
from dopsd.task.grading.words import number_in_words, value_among_words
from dopsd.task.grading.wrapping import unwrapped
from dopsd.task.source.row import GoldError, short
from dopsd.task.verdict import Verdict

_NUMBER = re.compile(r"-?[0-9]+\.?[0-9]*")
_DOTS = re.compile(r"\.*")
_NAME = re.compile(r"^\s*[a-zA-Z]?\s*=(?=[^=]*$)")
_MAX_FIELD = 2000
_MAX_GOLD = 300  # characters


def number_gold(value: object) -> Fraction:
    """A number, or a text that ends in `#### number` or is one; thousands commas and a dollar sign are dropped."""
    text = str(value).rpartition("####")[2].strip().replace(",", "").removeprefix("$")
    if value is None or isinstance(value, bool) or len(text) > _MAX_GOLD or "e" in text.lower():
        raise GoldError(f"{short(value)} is not a number")
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise GoldError(f"{short(value)} is not a number") from error


def strict(gold: Fraction, response: str) -> Verdict:
    """Judge the last answer by its exact value; units and plain words may stand around one number."""
    answer = read_answer(response)
    right = answer is not None and len(answer) <= MAX_LENGTH and _value(unwrapped(answer)) == gold
    return Verdict(accepted=right, score=float(right), answered=bool(answer), answer=answer)


def field(gold: Fraction, response: str) -> Verdict:
    """Judge the first box that holds a number, or else the last number between the answer tags."""
    value = _field_value(response)
    right = value is not None and value == float(gold)
    read = None if value is None else f"{value:.15g}"
    return Verdict(accepted=right, score=float(right), answered=value is not None, answer=read)


def _value(answer: str) -> Fraction | None:
    """What the answer is worth: a number or true equation, number words, or the one number among plain words."""
    worded = number_in_words(answer)
    if worded is not None:
        return worded
    value, _ = without_unit(_NAME.sub("", answer))
    try:
        return sides(tidy(value))[-1].value
    except ValueError:
        pass
    try:
        return value_among_words(without_style(_NAME.sub("", answer)))
    except UnreadError:
        return None


def _field_value(response: str) -> float | None:
    for content in boxed_on_one_line(response):
        if _DOTS.fullmatch(content):
            continue
        value = _as_number(content, which=0)
        if value is not None:
            return value
    return _as_number((first_tagged(response) or "")[:_MAX_FIELD], which=-1)


def _as_number(text: str, which: int) -> float | None:
    """The text as a number, or one of the numbers in it."""
    try:
        return float(text)
    except ValueError:
        found = _NUMBER.findall(text)
        return float(found[which]) if found else None


GRADERS = Graders(strict=strict, field=field, gold=lambda row: number_gold(row["ground_truth"]))
