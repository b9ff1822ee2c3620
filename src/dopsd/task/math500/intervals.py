"""Sets of real numbers as statements: intervals, their unions, and what is left without some points or intervals."""

from collections.abc import Iterable
from fractions import Fraction

from dopsd.task.grading.calculation import evaluate
from dopsd.task.grading.latex import UnreadError

Statement = list
REALS: Statement = ["tuple", "(", ")", ["value", "- \\infty"], ["value", "\\infty"]]
_INFINITE = {"- \\infty": Fraction(-(10**30)), "\\infty": Fraction(10**30), "+ \\infty": Fraction(10**30)}
_BESIDE = {"(": "]", "[": ")", ")": "[", "]": "("}


def union(parts: Iterable[Statement]) -> Statement:
    """The parts as one union, unions among them taken apart."""
    flat = [it for part in parts for it in (part[2:] if part[:2] == ["list", "cup"] else [part])]
    return ["list", "cup", *flat]


def without(whole: Statement, removed: list[Statement]) -> Statement:
    """What is left of an interval; raises UnreadError for ends that are no numbers, or out of it."""
    opening, closing, low, high = _interval(whole)
    left: list[Statement] = []
    for opens, closes, start, end in sorted((_interval(it) for it in removed), key=lambda it: _number(it[2])):
        if not _number(low) <= _number(start) <= _number(end) <= _number(high):
            raise UnreadError("what is left out is not inside")
        if _number(low) < _number(start):
            left.append(["tuple", opening, _BESIDE[opens], low, start])
        elif opening == "[" and opens == "(":
            raise UnreadError("one point is left")
        opening, low = _BESIDE[closes], end
    if _number(low) < _number(high):
        left.append(["tuple", opening, closing, low, high])
    elif closing == "]" and opening == "[":
        raise UnreadError("one point is left")
    if not left:
        raise UnreadError("nothing is left")
    return left[0] if len(left) == 1 else ["list", "cup", *left]


def _interval(statement: Statement) -> tuple[str, str, Statement, Statement]:
    """Its brackets and ends; a point is an interval too."""
    if statement[0] == "value":
        return "[", "]", statement, statement
    if statement[0] == "tuple" and len(statement) == 5 and statement[1] in "([" and statement[2] in ")]":
        return statement[1], statement[2], statement[3], statement[4]
    raise UnreadError("no interval")


def _number(end: Statement) -> Fraction:
    try:
        return _INFINITE.get(end[1]) or evaluate(end[1]).value
    except (ValueError, TypeError) as error:
        raise UnreadError("an end that is no number") from error
