"""Arithmetic on text that a model wrote, exact or as Python's: read as a syntax tree, never executed."""

import ast
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

MAX_LENGTH = 200  # characters
MAX_DIGITS = 15  # of one number
_SPELLINGS = {
    **{
        r"\times": "*",
        r"\cdot": "*",
        r"\div": "/",
        r"\left": "",
        r"\right": "",
        r"\,": " ",
        r"\!": "",
        **dict.fromkeys((r"\ ", r"\;", r"\:", r"\quad"), " "),
    },
    **{r"\dfrac": r"\frac", r"\tfrac": r"\frac", "$": "", "[": "(", "]": ")"},
}
_SPELLING = re.compile("|".join(map(re.escape, sorted(_SPELLINGS, key=len, reverse=True))))
_TIMES = re.compile(r"(?<=[\d)])\s*[xX]\s*(?=[\d(])|(?<=\))\s*(?=\()|(?<=\d)\s*(?=\()")
_FRACTION = re.compile(r"\\frac\s*(?:\{([^{}]*)\}|(\d))\s*(?:\{([^{}]*)\}|(\d))(?!\s*\d)")
_INFIX = re.compile(
    r"(?:\{|^)((?:[^{}]|\{[^{}]*\})*)\\(over|choose)(?![a-zA-Z])((?:[^{}]|\{[^{}]*\})*)(?:\}|$)"
)
_EXACT = re.compile(r"[0-9+\-*/().\s]+")
_UNCLEAR = re.compile(r"[-+*/]\s*[-+]|//|\*\s*\*|[\d)}]\s+\d|[)}]\d|[\d)}]\s*\{|\d\.(?!\d)")
_PYTHON = re.compile(r"[0-9+\-*/().\s]+")
_MAX_EXPONENT = 64
_MAX_BASE = 10**6
Number = int | float | Fraction


@dataclass(frozen=True, kw_only=True)
class Arithmetic:
    """What an expression is worth, and the numbers and operators that stand in it."""

    value: Fraction
    numbers: tuple[Fraction, ...]
    operators: frozenset[str]


def evaluate(text: str) -> Arithmetic:
    """Evaluate + - * / and brackets exactly, as people write them; raises ValueError for anything else."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"expression of {len(text)} characters: at most {MAX_LENGTH}")
    body = _tree(_respelled(text), _EXACT)
    value = _exact(_value(body, _exact, _EXACTLY))
    literals = [node for node in ast.walk(body) if isinstance(node, ast.Constant)]
    numbers = tuple(_exact(node.value) for node in sorted(literals, key=lambda node: node.col_offset))  # pyright: ignore[reportArgumentType]
    operators = {_SIGNS[type(node)] for node in ast.walk(body) if type(node) in _SIGNS}
    return Arithmetic(value=value, numbers=numbers, operators=frozenset(operators))


def sides(text: str) -> list[Arithmetic]:
    """The parts of a chain of = whose parts are all worth the same; raises ValueError for any other."""
    parts = [evaluate(part) for part in text.split("=")]
    if len({part.value for part in parts}) > 1:
        raise ValueError("the sides of = differ")
    return parts


def infix_fractions(text: str) -> str:
    """`{a \\over b}` and `{a \\choose b}` as \\frac and \\binom."""
    names = {"over": "\\frac", "choose": "\\binom"}
    return _INFIX.sub(lambda it: f"{names[it[2]]}{{{it[1]}}}{{{it[3]}}}", text)


def python_value(text: str) -> int | float:
    """What Python makes of digits and + - * / ( ) . ; raises ValueError for what has no value or too large a one."""
    text = text.strip()
    if len(text) > MAX_LENGTH:
        raise ValueError("not an expression")
    value = _value(_tree(text, _PYTHON), lambda number: number, _PYTHONS)
    assert not isinstance(value, Fraction)
    return value


def _respelled(text: str) -> str:
    text = _SPELLING.sub(lambda found: _SPELLINGS[found.group()], infix_fractions(text)).strip()
    before = ""
    while before != text:
        before = text
        text = _FRACTION.sub(lambda it: f"(({it[1] or it[2]})/({it[3] or it[4]}))", text)
    unclear = _UNCLEAR.search(text)
    text = _TIMES.sub("*", text.replace("{", "(").replace("}", ")")).removeprefix("+")
    if unclear or re.search(rf"[\d.]{{{MAX_DIGITS + 2}}}|\d{{{MAX_DIGITS + 1}}}", text):
        raise ValueError("no arithmetic: signs side by side, numbers side by side or too many digits")
    return text


def _tree(text: str, allowed: re.Pattern[str]) -> ast.expr:
    if not allowed.fullmatch(text):
        raise ValueError("not an expression")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(f"not an expression: {type(error).__name__}") from error


def _value(node: ast.expr, number: Callable[[Number], Number], functions: dict) -> Number:
    try:
        match node:
            case ast.Constant(value=int() | float() as literal):
                return number(literal)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in functions:
                return functions[type(op)](_value(left, number, functions), _value(right, number, functions))
            case ast.UnaryOp(op=op, operand=operand):
                value = _value(operand, number, functions)
                return -value if isinstance(op, ast.USub) else value
    except (ArithmeticError, RecursionError) as error:
        raise ValueError(f"no value: {error}") from error
    raise ValueError("not arithmetic")


def _exact(number: Number) -> Fraction:
    """A literal to its last digit: with at most 15 of them a float gives back what was written."""
    return Fraction(repr(number)) if isinstance(number, float) else Fraction(number)


def _power(base: int | float, exponent: int | float) -> int | float:
    if abs(exponent) > _MAX_EXPONENT or abs(base) > _MAX_BASE:
        raise ValueError("a power too large to matter")
    value = base**exponent
    if isinstance(value, complex):
        raise ValueError("no real value")
    return value


_SIGNS = {ast.Add: "+", ast.Sub: "-", ast.USub: "-", ast.Mult: "*", ast.Div: "/"}
_EXACTLY = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
_PYTHONS = {**_EXACTLY, ast.FloorDiv: operator.floordiv, ast.Pow: _power}
