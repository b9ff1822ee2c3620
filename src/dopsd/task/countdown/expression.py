"""Expressions over given numbers, with the steps that a worked answer writes down."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from random import Random

OPERATIONS = "+-*/"
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2}
_NUMBER = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Expression:
    """A value, its text with brackets only where needed, and the steps `a op b=c` that lead to it."""

    value: int | Fraction
    text: str
    precedence: int = _NUMBER
    steps: tuple[str, ...] = ()


def number(value: int) -> Expression:
    """The expression that is one given number."""
    return Expression(value=value, text=str(value))


def check_operations(key: str, value: object) -> None:
    """Raise ValueError, naming the key, unless the value is some of the operations, each at most once."""
    if (
        not isinstance(value, str)
        or not value
        or any(value.count(it) > 1 or it not in OPERATIONS for it in value)
    ):
        raise ValueError(f"{key}={value!r}: must be some of the characters {OPERATIONS}, each at most once")


def all_expressions(numbers: tuple[int, ...], operations: str) -> dict[int, list[Expression]]:
    """Every value that uses each number once, no result on the way negative or broken, shortest text first.

    Where two texts differ in the order of + or * alone, one stands for both: composite before plain, then
    larger before smaller.
    """
    found: dict[str, Expression] = {}
    for expression in _combinations([number(value) for value in sorted(numbers)], operations):
        found.setdefault(expression.text + ", ".join(expression.steps), expression)
    by_value: dict[int, list[Expression]] = {}
    for expression in sorted(found.values(), key=lambda it: (len(it.text), it.text, it.steps)):
        by_value.setdefault(int(expression.value), []).append(expression)
    return by_value


def random_worked(numbers: tuple[int, ...], operations: str, random: Random) -> Expression | None:
    """A random expression with no intermediate result negative or broken; None where the draw led to none."""
    parts = [number(value) for value in numbers]
    while len(parts) > 1:
        one, other = parts.pop(random.randrange(len(parts))), parts.pop(random.randrange(len(parts)))
        options = list(_pairings(one, other, operations))
        if not options:
            return None
        parts.append(random.choice(options))
    return parts[0]


def random_guess(numbers: tuple[int, ...], operations: str, random: Random) -> Expression:
    """A random expression over the numbers, of any value, worked out by nobody."""
    parts = [number(value) for value in numbers]
    while len(parts) > 1:
        left = parts.pop(int(random.random() * len(parts)))
        right = parts.pop(int(random.random() * len(parts)))
        operator = operations[int(random.random() * len(operations))]
        if operator == "/" and right.value == 0:
            operator = operations.replace("/", "")[0]  # only a minus can have made the zero
        parts.append(_join(left, operator, right))
    return parts[0]


def _combinations(parts: list[Expression], operations: str) -> Iterator[Expression]:
    if len(parts) == 1:
        yield parts[0]
        return
    for i, first in enumerate(parts):
        for j in range(i + 1, len(parts)):
            rest = parts[:i] + parts[i + 1 : j] + parts[j + 1 :]
            for joined in _pairings(first, parts[j], operations):
                yield from _combinations([joined, *rest], operations)


def _pairings(one: Expression, other: Expression, operations: str) -> Iterator[Expression]:
    larger, smaller = (one, other) if one.value >= other.value else (other, one)
    # composite before plain, then larger first
    head, tail = (one, other) if _rank(one) >= _rank(other) else (other, one)
    for operator in operations:
        if operator in "+*":
            yield _join(head, operator, tail)
        elif operator == "-" or (smaller.value != 0 and larger.value % smaller.value == 0):
            yield _join(larger, operator, smaller)


def _rank(expression: Expression) -> tuple[bool, int | Fraction]:
    return expression.precedence != _NUMBER, expression.value


def _join(left: Expression, operator: str, right: Expression) -> Expression:
    precedence = _PRECEDENCE[operator]
    left_text = f"({left.text})" if left.precedence < precedence else left.text
    # a-(b+c), a/(b*c): the right side of - and / keeps its brackets at equal precedence
    binds = right.precedence < precedence or (right.precedence == precedence and operator in "-/")
    right_text = f"({right.text})" if binds else right.text
    value = _apply(left.value, operator, right.value)
    return Expression(
        value=value,
        text=left_text + operator + right_text,
        precedence=precedence,
        steps=(*left.steps, *right.steps, f"{left.value}{operator}{right.value}={value}"),
    )


def _apply(left: int | Fraction, operator: str, right: int | Fraction) -> int | Fraction:
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    quotient = Fraction(left) / right
    return int(quotient) if quotient.denominator == 1 else quotient
