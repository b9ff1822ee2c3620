"""A small bounded parser for the LaTeX of answers."""

import cmath
import operator
from dataclasses import dataclass
from fractions import Fraction

from dopsd.task.grading.latex_names import CONSTANTS, FUNCTIONS, GREEK
from dopsd.task.grading.latex_tokens import Cursor
from dopsd.task.grading.latex_value import (
    Group,
    Scalar,
    Value,
    binomial,
    combined,
    constant,
    factorial_of,
    negative,
    power,
    root,
    variable,
)

MAX_DEPTH = 16  # of brackets
_MAX_DIGITS = 40  # of one number
_ENDS = {")", "]", "}", "\\}", "⟧", ",", "=", "+", "-", "*", "/", "&", "\\\\", "\\cup", "^", "_", "!", ""}
_CLOSINGS = {"(": (")", "]"), "[": (")", "]"), "{": ("}",), "\\{": ("\\}",)}


@dataclass
class LatexParser(Cursor):
    """Sums of products of powers of atoms, between commas; every level has the name of what it reads."""

    depth: int = 0

    def whole(self) -> Value:
        """The value of all tokens."""
        value = self.listed("")
        self.take("")
        return value

    def listed(self, kind: str) -> Value:
        """Values between commas: one alone stands for itself."""
        items = [self.relation()]
        while self.took(","):
            items.append(self.relation())
        return items[0] if len(items) == 1 else Group(kind or "list", tuple(items))

    def relation(self) -> Value:
        sides = [self.union()]
        while self.took("="):
            sides.append(self.union())
        return sides[0] if len(sides) == 1 else Group("=", tuple(sides))

    def union(self) -> Value:
        parts = [self.sum()]
        while self.took("\\cup"):
            parts.append(self.sum())
        return parts[0] if len(parts) == 1 else Group("cup", tuple(parts))

    def sum(self) -> Value:
        value = self.signed()
        while sign := self.took("+", "-"):
            term = self.product()
            value = combined(operator.add if sign == "+" else operator.sub, scalar(value), scalar(term))
        return value

    def signed(self) -> Value:
        sign = self.took("+", "-")
        value = self.signed() if sign else self.product()
        return combined(negative, scalar(value)) if sign == "-" else value

    def product(self) -> Value:
        value = self.power()
        while self.next not in _ENDS or self.next in ("*", "/"):
            sign = self.took("*", "/")
            factor = self.signed_power() if sign else self.power()
            function = operator.truediv if sign == "/" else operator.mul
            value = combined(function, scalar(value), scalar(factor))
        return value

    def signed_power(self) -> Value:
        if self.took("-"):
            return combined(negative, scalar(self.signed_power()))
        return self.power()

    def power(self) -> Value:
        value = self.atom()
        while self.took("!"):
            value = combined(factorial_of, scalar(value))
        if self.took("^"):
            value = combined(power, scalar(value), scalar(self.argument()))
        return value

    def argument(self) -> Value:
        """What a command applies to: braces, or one digit, letter or command."""
        token = self.next
        if token.isdigit() and len(token) > 1:
            self.tokens[self.position] = token[1:]
            return constant(int(token[0]))
        return self.atom()

    def atom(self) -> Value:
        token = self.take()
        if token[:1].isdigit() or token[:1] == ".":
            return self.number(token)
        if token in ("(", "[", "{", "\\{", "⟦"):
            return self.bracketed(token)
        if token in CONSTANTS:
            return CONSTANTS[token]
        if token in GREEK or (len(token) == 1 and token.isascii() and token.isalpha()):
            return variable(f"{token}_{self.subscript()}") if self.took("_") else variable(token)
        if token in FUNCTIONS:
            return self.function(token)
        return self.command(token)

    def number(self, token: str) -> Value:
        if len(token) > _MAX_DIGITS or not token.isascii():
            raise ValueError(f"a number of {len(token)} digits: at most {_MAX_DIGITS}")
        if self.took("_"):  # a numeral in another base is no quantity here, only itself
            return variable(f"{token}_{self.subscript()}")
        value = constant(Fraction(token))
        if token.isdigit() and self.next == "\\frac":
            fraction = scalar(self.command(self.take()))
            plain = isinstance(fraction.at[0], Fraction) and 0 < fraction.at[0] < 1
            return combined(operator.add if plain else operator.mul, value, fraction)
        return value

    def subscript(self) -> str:
        """The text of a subscript, with or without braces."""
        if not self.took("{"):
            return self.take()
        start = self.position
        while self.take() not in ("}", ""):
            pass
        return "".join(self.tokens[start : self.position - 1])

    def bracketed(self, opening: str) -> Value:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ValueError(f"brackets nested deeper than {MAX_DEPTH}")
        if opening == "⟦":
            value = self.matrix()
        else:
            value = self.listed("open")
            closing = self.take()
            if closing not in _CLOSINGS[opening]:
                raise ValueError(f"{opening!r} closed by {closing!r}")
            value = _grouped(value, opening + closing)
        self.depth -= 1
        return value

    def matrix(self) -> Value:
        rows, row = [], [self.sum()]
        while (separator := self.take()) != "⟧":
            if separator == "&":
                row.append(self.sum())
            elif separator == "\\\\":
                rows.append(Group("row", tuple(row)))
                row = [self.sum()]
            else:
                raise ValueError(f"{separator!r} in a matrix")
        return Group("matrix", (*rows, Group("row", tuple(row))))

    def function(self, token: str) -> Value:
        exponent = self.argument() if self.took("^") else None
        base = self.argument() if token == "\\log" and self.took("_") else None
        value = combined(lambda x: FUNCTIONS[token](complex(x)), scalar(self.power()))
        if base is not None:
            value = combined(lambda x, b: x / cmath.log10(complex(b)), value, scalar(base))
        return value if exponent is None else combined(power, value, scalar(exponent))

    def command(self, token: str) -> Value:
        if token == "\\frac":
            return combined(operator.truediv, scalar(self.argument()), scalar(self.argument()))
        if token == "\\binom":
            return combined(binomial, scalar(self.argument()), scalar(self.argument()))
        if token == "\\sqrt":
            degree = self.bracketed_degree() if self.took("[") else constant(2)
            return combined(root, scalar(self.argument()), degree)
        raise ValueError(f"{token!r} where a value was expected")

    def bracketed_degree(self) -> Scalar:
        value = scalar(self.sum())
        self.take("]")
        return value


def scalar(value: Value) -> Scalar:
    """The value where it is a scalar; raises ValueError for several values."""
    if isinstance(value, Scalar):
        return value
    raise ValueError(f"{value.kind!r} where one value was expected")


def _grouped(value: Value, brackets: str) -> Value:
    """Braces and round brackets around one value change nothing; others make a group of their own kind."""
    if brackets == "{}" or (brackets == "()" and not (isinstance(value, Group) and value.kind == "open")):
        return Group("list", value.items) if isinstance(value, Group) and value.kind == "open" else value
    items = value.items if isinstance(value, Group) and value.kind == "open" else (value,)
    return Group("{}" if brackets == "\\{\\}" else brackets, items)
