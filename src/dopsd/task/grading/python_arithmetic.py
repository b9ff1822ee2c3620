"""What Python would make of an expression of digits and + - * / ( ) . without letting Python run it."""

import ast
import operator
import re

MAX_LENGTH = 200  # characters
_ALLOWED = re.compile(r"[0-9+\-*/().\s]+")
_MAX_EXPONENT = 64
_MAX_BASE = 10**6


def python_value(text: str) -> int | float:
    """The value, floating point where Python's is; raises ValueError for what has none or is too large."""
    text = text.strip()
    if len(text) > MAX_LENGTH or not _ALLOWED.fullmatch(text):
        raise ValueError("not an expression")
    try:
        return _value(ast.parse(text, mode="eval").body)
    except (SyntaxError, ArithmeticError, MemoryError, RecursionError) as error:
        raise ValueError(f"no value: {error}") from error


def _value(node: ast.expr) -> int | float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_value(left), _value(right))
        case ast.UnaryOp(op=op, operand=operand):
            return -_value(operand) if isinstance(op, ast.USub) else _value(operand)
    raise ValueError("not arithmetic")


def _power(base: int | float, exponent: int | float) -> int | float:
    if abs(exponent) > _MAX_EXPONENT or abs(base) > _MAX_BASE:
        raise ValueError("a power too large to matter")
    value = base**exponent
    if isinstance(value, complex):
        raise ValueError("no real value")
    return value


_OPERATORS = {
    **{ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul},
    **{ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv, ast.Pow: _power},
}
