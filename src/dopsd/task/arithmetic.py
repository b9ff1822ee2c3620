"""Exact arithmetic on text that a model wrote: a small bounded parser, nothing is ever executed."""

import re
from dataclasses import dataclass, field
from fractions import Fraction

MAX_LENGTH = 200  # characters
MAX_DIGITS = 12  # of one number
MAX_DEPTH = 24  # of brackets

_SPELLINGS = {
    **{"×": "*", "·": "*", "⋅": "*", "∗": "*", "÷": "/", "−": "-", "–": "-", "$": ""},
    **{r"\times": "*", r"\cdot": "*", r"\div": "/", r"\left": "", r"\right": ""},
    **{r"\dfrac": r"\frac", r"\tfrac": r"\frac"},
}
_SPELLING = re.compile("|".join(map(re.escape, sorted(_SPELLINGS, key=len, reverse=True))))
_TOKEN = re.compile(r"\s*([0-9]+|[-+*/()={}]|\\frac)\s*")


@dataclass(frozen=True, kw_only=True)
class Arithmetic:
    """What an expression is worth, and the numbers and operators that stand in it."""

    value: Fraction
    numbers: tuple[int, ...]
    operators: frozenset[str]


def evaluate(text: str) -> Arithmetic:
    """Evaluate + - * / and brackets exactly; raises ValueError for anything else or an untrue `= value`."""
    parser = _Parser(_tokens(text))
    value = parser.sum(0)
    result = Arithmetic(value=value, numbers=tuple(parser.numbers), operators=frozenset(parser.operators))
    if parser.next() == "=":
        parser.take("=")
        if parser.sum(0) != value:
            raise ValueError("both sides of = differ")
    parser.take("")
    return result


def _tokens(text: str) -> list[str]:
    if len(text) > MAX_LENGTH:
        raise ValueError(f"expression of {len(text)} characters: at most {MAX_LENGTH}")
    text = _SPELLING.sub(lambda found: _SPELLINGS[found.group()], text).strip()
    tokens, position = [], 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None or len(found.group(1)) > MAX_DIGITS:
            raise ValueError(f"no arithmetic at {text[position : position + 10]!r}")
        tokens.append(found.group(1))
        position = found.end()
    return tokens


@dataclass
class _Parser:
    tokens: list[str]
    position: int = 0
    numbers: list[int] = field(default_factory=list)
    operators: set[str] = field(default_factory=set)

    def next(self) -> str:
        """The token to come, the empty string at the end."""
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def take(self, expected: str | None = None) -> str:
        token = self.next()
        if expected is not None and token != expected:
            raise ValueError(f"{token!r} where {expected!r} was expected")
        self.position += 1
        return token

    def sum(self, depth: int) -> Fraction:
        value = self.product(depth)
        while self.next() in ("+", "-"):
            self.operators.add(operator := self.take())
            term = self.product(depth)
            value = value + term if operator == "+" else value - term
        return value

    def product(self, depth: int) -> Fraction:
        value = self.signed(depth)
        while self.next() in ("*", "/"):
            self.operators.add(operator := self.take())
            factor = self.signed(depth)
            value = value * factor if operator == "*" else _divide(value, factor)
        return value

    def signed(self, depth: int) -> Fraction:
        sign = 1
        while self.next() == "-":
            self.operators.add(self.take())
            sign = -sign
        return sign * self.atom(depth)

    def atom(self, depth: int) -> Fraction:
        if depth > MAX_DEPTH:
            raise ValueError(f"brackets nested deeper than {MAX_DEPTH}")
        token = self.take()
        if token == "(":
            return self.group(depth, ")")
        if token == "\\frac":
            self.operators.add("/")
            self.take("{")
            above = self.group(depth, "}")
            self.take("{")
            return _divide(above, self.group(depth, "}"))
        if not token.isdigit():
            raise ValueError(f"{token!r} where a number was expected")
        self.numbers.append(int(token))
        return Fraction(self.numbers[-1])

    def group(self, depth: int, closing: str) -> Fraction:
        value = self.sum(depth + 1)
        self.take(closing)
        return value


def _divide(above: Fraction, below: Fraction) -> Fraction:
    if below == 0:
        raise ValueError("division by zero")
    return above / below
