"""Whether two mathematical answers say the same: by spelling, as plain numbers, or as math-verify reads them."""

import re
from functools import lru_cache

from dopsd.task.arithmetic import evaluate
from dopsd.task.grading.algebra import ask
from dopsd.task.grading.latex import MAX_LENGTH, UnreadError, spelling, tidy
from dopsd.task.grading.wrapping import unwrapped
from dopsd.task.grading.intervals import Statement
from dopsd.task.grading.statement import stated
from dopsd.task.grading.units import without_unit, words_behind

_IS_TEXT = re.compile(r"\(?(?:\\(?:text|mbox|mathrm|textbf)\s*\{[^{}]*\}|[A-Z])\)?")
_STYLE = re.compile(r"\\(?:text|mbox|mathrm|textbf|textit|textrm)\s*\{([^{}]*)\}")
_BASED = re.compile(r"(-?[0-9A-Z.]*\d[0-9A-Z.]*)_(?:(\d)|\{(\w+)\}|\{\\text\{(\w+)\}\})")
_BASES = {
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
}


@lru_cache(maxsize=4096)
def equivalent(answer: str, gold: str) -> bool:
    """Whether an answer, any string, is worth the same as the gold answer."""
    if len(answer) > MAX_LENGTH or not answer.strip():
        return False
    if spelling(answer) == spelling(gold):
        return True
    answer, gold = unwrapped(answer), unwrapped(gold)
    if _is_text(gold):
        return _words(answer) == _words(gold)
    if based := _BASED.fullmatch(gold):
        return _based(answer) == _based(gold) or answer == based[1]  # the question names the base
    try:
        return _same_value(answer, gold)
    except UnreadError:
        return False


def _same_value(answer: str, gold: str) -> bool:
    words = words_behind(gold)
    expected, gold_unit = without_unit(gold, trusted=words)
    value, unit = without_unit(answer, trusted=words)
    if unit is not None and gold_unit is not None and unit != gold_unit:
        return False
    golds, answers = _readings(expected), _readings(value)
    numbers = [[_number(text) for text in texts] for texts in (answers, golds)]
    if all(number is not None for number in numbers[0] + numbers[1]):
        return bool(set(numbers[0]) & set(numbers[1]))
    return ask(_statements(answers), _statements(golds))


def _readings(text: str) -> list[str]:
    """The tidy answer; twice where a comma may group thousands or stand between two numbers."""
    grouped = tidy(text)
    try:
        listed = tidy(text, commas=False)
    except UnreadError:
        return [grouped]
    return [grouped] if grouped == listed else [grouped, listed]


def _statements(texts: list[str]) -> list[Statement]:
    return [stated(text) for text in texts]


def _number(text: str):
    try:
        return evaluate(text).value
    except ValueError:
        return None


def _is_text(gold: str) -> bool:
    """Whether the gold is words or the letter of a choice."""
    return (
        _IS_TEXT.fullmatch(gold) is not None
        or re.fullmatch(r"\(?(?:[A-Z]|[a-zA-Z][a-z]{2,}[ a-zA-Z]*)\)?", gold) is not None
    )


def _words(text: str) -> str:
    """Words without style and brackets; a single letter keeps its case."""
    text = " ".join(_STYLE.sub(r"\1", text).split()).removesuffix(".").strip()
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1].strip()
    text = re.sub(r"\s*([,:])\s*", r"\1", text)
    return text if len(text) == 1 else text.lower()


def _based(text: str) -> tuple[str, str] | None:
    found = _BASED.fullmatch(text.replace(" ", ""))
    if found is None:
        return None
    base = found[2] or found[3] or found[4]
    return found[1], _BASES.get(base, base)
