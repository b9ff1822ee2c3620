"""The parser agrees with exact rational arithmetic, and refuses everything else at once."""

import time
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dopsd.task.arithmetic import MAX_LENGTH, evaluate

ONE_LINE = r"^[^\n]+$"
SLOW_IF_EXECUTED = [
    "2**9",
    "9**9**9",
    "9**9**9**9",
    "1" * 10_000_000,
    "9" * 150,
    "(" * 100,
    "(" * 5_000_000,
    "((((" * 40 + "1" + "))))" * 40,
    "-" * 199,
    "-" * 1_000_000,
    "1+" * 1_000_000 + "1",
    "\\frac{" * 30,
    " " * 10_000_000,
    "$" * 1_000_000,
]
NOT_ARITHMETIC = [
    *[
        "",
        " ",
        "+",
        "1+",
        "*3",
        "1 2",
        "(1",
        "1)",
        "()",
        "1//2",
        "1/0",
        "3/(2-2)",
        "5%2",
        "1.5",
        "1e5",
        "0x10",
        "2^3",
    ],
    *[
        "__import__('os')",
        "print(1)",
        "1 if 1 else 2",
        "1,2",
        "=",
        "1=",
        "=1",
        "1=2",
        "1=1=1",
        "{1",
        "\\frac{1}2",
    ],
    *["\\frac{1}{0}", "٣+٤", "²", "½", "\x00", "3(5)", "(3)(5)"],
]


def combined(children):
    """A pair (text, value) for any way to join two smaller ones; value None stands for a division by zero."""
    return st.tuples(children, st.sampled_from("+-*/"), children).map(join)


def join(parts):
    (left, above), operator, (right, below) = parts
    text = f"({left}){operator}({right})"
    if above is None or below is None or (operator == "/" and below == 0):
        return text, None
    return text, {
        "+": lambda: above + below,
        "-": lambda: above - below,
        "*": lambda: above * below,
        "/": lambda: above / below,
    }[operator]()


NUMBERS = st.integers(0, 99).map(lambda value: (str(value), Fraction(value)))


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.recursive(NUMBERS, combined, max_leaves=12))
def test_value_is_that_of_exact_rational_arithmetic(expression):
    text, value = expression
    if len(text) > MAX_LENGTH or value is None:
        with pytest.raises(ValueError, match=ONE_LINE):
            evaluate(text)
    else:
        assert evaluate(text).value == value


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(1, 99), st.sampled_from("+-*/")), min_size=2, max_size=12))
def test_precedence_is_the_usual_one(pairs):
    text = "".join(f"{number}{operator}" for number, operator in pairs)[:-1]
    result = evaluate(text)
    terms, sign = Fraction(0), 1
    product = Fraction(pairs[0][0])
    for (_, operator), (number, _) in pairwise(pairs):
        if operator in "*/":
            product = product * number if operator == "*" else product / number
        else:
            terms, product, sign = terms + sign * product, Fraction(number), 1 if operator == "+" else -1
    assert result.value == terms + sign * product
    assert result.numbers == tuple(number for number, _ in pairs)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3×5 − 7", 8),
        ("3 \\times 5 \\div 5", 3),
        ("\\frac{3+5}{4}", 2),
        ("\\left(3+5\\right)\\cdot 2", 16),
        ("-3+5", 2),
        ("--3", 3),
        ("$3*5+7$", 22),
        ("3*5+7=22", 22),
        ("3*5+7 = 20+2", 22),
        ("7/2*2", 7),
    ],
)
def test_usual_spellings_are_read(text, value):
    assert evaluate(text).value == value


def test_numbers_and_operators_right_of_the_equals_sign_are_not_part_of_the_expression():
    result = evaluate("3*5=15-0")
    assert result.numbers == (3, 5)
    assert result.operators == {"*"}


@pytest.mark.parametrize("text", SLOW_IF_EXECUTED, ids=range(len(SLOW_IF_EXECUTED)))
def test_huge_and_deep_input_is_refused_at_once(text):
    start = time.perf_counter()
    with pytest.raises(ValueError, match=ONE_LINE):
        evaluate(text)
    assert time.perf_counter() - start < 1.0


@pytest.mark.parametrize("text", NOT_ARITHMETIC)
def test_anything_but_arithmetic_is_refused(text):
    with pytest.raises(ValueError, match=ONE_LINE):
        evaluate(text)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.text(alphabet="0123456789+-*/()={}\\frac times", max_size=60) | st.text(max_size=60))
def test_any_string_is_a_value_or_a_value_error(text):
    try:
        assert isinstance(evaluate(text).value, Fraction)
    except ValueError:
        return
