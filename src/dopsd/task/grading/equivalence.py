"""Whether two mathematical answers say the same: by spelling, by our bounded reader, by math-verify for the rest."""

import operator
import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from string import ascii_letters

from dopsd.task.grading.field_latex import same_spelling
from dopsd.task.grading.latex_names import UNREAD_NAMES, UNREAD_OPERATORS
from dopsd.task.grading.latex_reader import UnreadError, read_latex
from dopsd.task.grading.latex_value import UNORDERED, Group, Scalar, Value, close, combined, variable
from dopsd.task.grading.math_verify import ask_math_verify

_WRAPPER = re.compile(r"\\(?:text|mbox|mathrm|textrm|textbf|textit)\s*\{([^{}]*)\}")
_WORDS = re.compile(r"[^a-z0-9]+")
_IS_TEXT = re.compile(
    r"\s*\(?(?:\\(?:text|mbox|mathrm|textbf)\s*\{[^{}]*\}|[A-Za-z]|[A-Za-z][a-z]+)\)?\.?\s*"
)
_BASE = re.compile(r"(-?[0-9.]+)_(?:[0-9]|\{[0-9]+\})")
_UNITS = re.compile(r"(?<=[\d})])\s*(?:[a-zA-Z]{2,}[\s.]*(?:\^\{?[23]\}?)?)+$")
_COMMAND = re.compile(r"\\[a-zA-Z]+")
_MAX_LENGTH = 300
_MAX_ITEMS = 24  # of a list in any order


@lru_cache(maxsize=4096)
def equivalent(answer: str, gold: str) -> bool:
    """Whether an answer, any string, is worth the same as the gold answer."""
    if len(answer) > _MAX_LENGTH:
        return False
    if same_spelling(answer, gold):
        return bool(answer.strip())
    if _IS_TEXT.fullmatch(gold):
        return _words(gold) == _words(answer)
    if (numeral := _BASE.fullmatch(gold.strip())) and answer.strip() == numeral[1]:
        return True  # the question names the base
    bare_gold = re.search("[a-zA-Z]", _COMMAND.sub("", _WRAPPER.sub("", gold))) is None
    if bare_gold and equivalent_values(without_units(answer), gold):
        return True
    return not (bare_gold and without_units(answer) == answer) and equivalent_values(answer, gold)


def equivalent_values(answer: str, gold: str) -> bool:
    """The same of two expressions without units in words."""
    expected, of_gold = _read(gold)
    value, of_answer = _read(answer)
    if value is not None and expected is not None:
        return same(value, expected)
    if isinstance(value or expected, Scalar) and (of_gold | of_answer) & UNREAD_OPERATORS:
        return False  # no inequality and no set is a single value
    readable = value is not None or of_answer
    # what only the answer has of sums, limits and the like was left for the reader to work out
    return bool(readable) and not (of_answer & UNREAD_NAMES) - of_gold and ask_math_verify(answer, gold)


def _read(latex: str) -> tuple[Value | None, frozenset[str]]:
    """The value, or else the names in the expression that were in the way."""
    try:
        return read_latex(latex), frozenset()
    except UnreadError as error:
        return None, error.names
    except ValueError:
        return None, frozenset()


def without_units(answer: str) -> str:
    """An answer without the words behind its number."""
    return _UNITS.sub("", answer.strip())


def same(answer: Value, gold: Value) -> bool:
    """Whether two values agree: lists in any order, `x = 5` with 5, equations up to a factor."""
    if isinstance(answer, Scalar) and isinstance(gold, Scalar):
        return all(map(close, answer.at, gold.at))
    if isinstance(answer, Group) and isinstance(gold, Group) and _kind(answer) == _kind(gold):
        if gold.kind == "=":
            return _same_sides(answer.items, gold.items) or _same_equation(answer.items, gold.items)
        return (
            _same_set(answer.items, gold.items)
            if gold.kind in UNORDERED
            else _same_sides(answer.items, gold.items)
        )
    if isinstance(answer, Group) and answer.kind == "=":
        return same(answer.items[-1], gold)
    return (
        isinstance(gold, Group)
        and gold.kind == "="
        and any(gold.items[0] == variable(letter) for letter in ascii_letters)
        and same(answer, gold.items[-1])
    )


def _kind(group: Group) -> str:
    return "list" if group.kind == "{}" else group.kind


def _same_sides(answers: Sequence[Value], golds: Sequence[Value]) -> bool:
    return len(answers) == len(golds) and all(map(same, answers, golds))


def _same_set(answers: Sequence[Value], golds: Sequence[Value]) -> bool:
    if len(answers) != len(golds) or len(golds) > _MAX_ITEMS:
        return False
    left = list(golds)
    for answer in answers:
        found = next((i for i, gold in enumerate(left) if same(answer, gold)), None)
        if found is None:
            return False
        left.pop(found)
    return True


def _same_equation(answers: Sequence[Value], golds: Sequence[Value]) -> bool:
    """Whether left - right of the one is a constant times that of the other."""
    sides = [*answers, *golds]
    if len(sides) != 4 or not all(isinstance(side, Scalar) for side in sides):
        return False
    scalars = [side for side in sides if isinstance(side, Scalar)]
    try:
        answer, gold = (combined(operator.sub, *scalars[i : i + 2]) for i in (0, 2))
        ratio = combined(operator.truediv, answer, gold).at
    except ValueError:
        return False
    return ratio[0] != Fraction(0) and all(close(ratio[0], other) for other in ratio)


def _words(text: str) -> str:
    return _WORDS.sub("", _WRAPPER.sub(r"\1", text).lower())
