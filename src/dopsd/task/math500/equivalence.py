"""Whether two mathematical answers say the same: by spelling, as plain numbers, or as math-verify reads them."""

import re
from functools import lru_cache

from dopsd.task.grading.calculation import evaluate
from dopsd.task.grading.latex import MAX_LENGTH, UnreadError, spelling, tidy, written
from dopsd.task.grading.units import without_unit, words_behind
from dopsd.task.grading.words import number_in_words
from dopsd.task.grading.wrapping import STYLE, unwrapped
from dopsd.task.math500.algebra import ask
from dopsd.task.math500.intervals import Statement
from dopsd.task.math500.statement import stated

_IS_TEXT = re.compile(  # words, the letter of a choice, a time of day
    rf"\(?(?:\\(?:{STYLE})\s*\{{[^{{}}]*\}}|[A-Z]|No|[a-zA-Z][a-z]{{2,}}[ a-zA-Z]*"
    r"|\d+:\d\d\s*(?:\\text\s*\{)?\s*[apAP]\.?[mM]\b.*)\)?"
)
_STYLE = re.compile(rf"\\(?:{STYLE})\s*\{{([^{{}}]*)\}}")
_HALF_OF_DAY = re.compile(r"(?<=\d)\s*([ap])\.?\s*m\b\.?", re.IGNORECASE)
_BASED = re.compile(r"(-?)([0-9A-Z]*(?:\.[0-9A-Z]+)?)_(\w+)")
_BASES = {
    name: str(base)
    for base, name in enumerate(["two", "three", "four", "five", "six", "seven", "eight", "nine"], 2)
}


@lru_cache(maxsize=4096)
def equivalent(answer: str, gold: str) -> bool:
    """Whether an answer, any string, is worth the same as the gold answer."""
    if len(answer) > MAX_LENGTH or not answer.strip():
        return False
    if spelling(answer) == spelling(gold):
        return True
    answer, gold = unwrapped(answer), unwrapped(gold)
    if _IS_TEXT.fullmatch(gold):
        return _words(answer) == _words(gold)
    if based := _based(gold):
        return (
            _based(answer) == based or _based(f"{answer}_{based[2]}") == based
        )  # the question names the base
    try:
        return _same_value(answer, gold)
    except UnreadError:
        return False


def _same_value(answer: str, gold: str) -> bool:
    worded = number_in_words(answer)
    answer = answer if worded is None else written(worded)
    words = words_behind(gold)
    expected, gold_unit = without_unit(gold, trusted=words)
    value, unit = without_unit(answer, trusted=words)
    if unit == "deg" and gold_unit is None and "\\pi" in value:
        return False
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


def _words(text: str) -> str:
    """Words without style and brackets; a single letter keeps its case."""
    text = _HALF_OF_DAY.sub(r" \1m", " ".join(_STYLE.sub(r"\1", text).split())).removesuffix(".").strip()
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1].strip()
    text = re.sub(r"\s*([,:])\s*", r"\1", text)
    return text if len(text) == 1 else text.lower()


def _based(text: str) -> tuple[str, str, str] | None:
    """The sign, the digits and the base of `52_8`, however it is written."""
    text = _STYLE.sub(r"\1", text)
    text = re.sub(r"\s*\(?\s*\bbase\s*(\w+)\s*\)?", r"_\1", re.sub(r"_\s*\{?\s*base", " base", text))
    text = re.sub(r"[(){}]|\s+(?=_)|(?<=_)\s+", "", text)
    found = _BASED.fullmatch(text)
    if found is None or not re.search(r"\d", found[2]):
        return None
    digits = found[2].lstrip("0")
    return found[1], digits if digits[:1] not in ("", ".") else f"0{digits}", _BASES.get(found[3], found[3])
