"""What an expression is worth: exact where it can be, at three fixed points where it has variables."""

import cmath
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from hashlib import blake2b
from math import comb, factorial, isqrt

Number = Fraction | complex
POINTS = 3
INFINITY = Fraction(10**40 + 7)  # a symbol: any number that no answer is
_MAX_BITS = 1024
_MAX_EXPONENT = 100
_MAX_COUNT = 60  # in a factorial or binomial
_CLOSE = 1e-9  # relative


@dataclass(frozen=True)
class Scalar:
    """An expression without relations or brackets that stay: its value at each point."""

    at: tuple[Number, ...]


@dataclass(frozen=True)
class Group:
    """Several values: a list or a set (in any order), a tuple or an interval, a row, a matrix, the two sides of =."""

    kind: str
    items: tuple["Scalar | Group", ...]


Value = Scalar | Group
UNORDERED = ("list", "{}", "cup")


def constant(value: Number | int) -> Scalar:
    """A scalar without variables."""
    return Scalar((Fraction(value) if isinstance(value, int) else value,) * POINTS)


@cache
def variable(name: str) -> Scalar:
    """A scalar of its own for each name, positive and nowhere near a special value."""
    return Scalar(tuple(_drawn(f"{name} {point}") for point in range(POINTS)))


def combined(function: Callable[..., Number], *scalars: Scalar) -> Scalar:
    """A function applied at each point; raises ValueError where it has no value or one too large."""
    try:
        return Scalar(
            tuple(_bounded(function(*values)) for values in zip(*(s.at for s in scalars), strict=True))
        )
    except ArithmeticError as error:
        raise ValueError(f"no value: {error}") from error


def power(base: Number, exponent: Number) -> Number:
    """base ** exponent, exact for whole exponents; raises ValueError where it is too large."""
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        size = max(base.numerator.bit_length(), base.denominator.bit_length())
        if abs(exponent) > _MAX_EXPONENT or size * abs(exponent) > _MAX_BITS:
            raise ValueError("a power too large")
        return base ** int(exponent)
    return complex(base) ** complex(exponent)


def root(value: Number, degree: Number = Fraction(2)) -> Number:
    """The principal root, exact for squares."""
    if isinstance(value, Fraction) and degree == 2 and value >= 0:
        above, below = isqrt(value.numerator), isqrt(value.denominator)
        if above**2 == value.numerator and below**2 == value.denominator:
            return Fraction(above, below)
    if isinstance(value, Fraction) and value < 0 and degree == 3:
        return -root(-value, degree)
    return complex(value) ** (1 / complex(degree))


def negative(value: Number) -> Number:
    """The value with the other sign."""
    return -value


def factorial_of(value: Number) -> Number:
    """n!; raises ValueError beyond small whole numbers."""
    return Fraction(factorial(_count(value)))


def binomial(above: Number, below: Number) -> Number:
    """n over k; raises ValueError beyond small whole numbers."""
    return Fraction(comb(_count(above), _count(below)))


def close(one: Number, other: Number) -> bool:
    """Whether two numbers are the same: exactly, or to rounding where one is inexact."""
    if isinstance(one, Fraction) and isinstance(other, Fraction):
        return one == other
    one, other = complex(one), complex(other)
    return abs(one - other) <= _CLOSE * max(abs(one), abs(other), _CLOSE)


def _bounded(value: Number) -> Number:
    if isinstance(value, Fraction):
        if max(value.numerator.bit_length(), value.denominator.bit_length()) > _MAX_BITS:
            raise ValueError("a number too large")
    elif not cmath.isfinite(value):
        raise ValueError("no finite value")
    return value


def _drawn(text: str) -> Fraction:
    digest = blake2b(text.encode(errors="replace"), digest_size=4).digest()
    return Fraction(2 + int.from_bytes(digest[:2], "big") % 997, 2 + int.from_bytes(digest[2:], "big") % 97)


def _count(value: Number) -> int:
    if isinstance(value, Fraction) and value.denominator == 1 and 0 <= value <= _MAX_COUNT:
        return int(value)
    raise ValueError("a count out of range")
