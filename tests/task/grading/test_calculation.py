"""The parser agrees with exact rational arithmetic, and refuses everything else at once."""

import time
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dopsd.task.grading.calculation import MAX_LENGTH, evaluate, python_value, sides

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
_NOT_ARITHMETIC = (
    "¦ ¦+¦1+¦*3¦1 2¦(1¦1)¦()¦1//2¦1/0¦3/(2-2)¦5%2¦1e5¦2^3¦2**3¦1.¦__import__('os')¦print(1)¦"
    "1 if 1 else 2¦1,2¦=¦1=1¦{1¦\\frac{1}{0}¦...¦(1)2¦03¦٣+٤¦²¦½¦\x00¦4{10}¦{4}{10}¦3--4¦--3¦3+-4¦3*-4¦"
    "1_0¦\\frac12 3¦3x¦x3"
)
NOT_ARITHMETIC = _NOT_ARITHMETIC.split("¦")


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
        *[
            ("3 \\times 5 \\div 5", 3),
            ("\\frac{3+5}{4}", 2),
            ("\\frac84", 2),
            ("\\frac{8}4", 2),
            ("[3+5]*2", 16),
        ],
        *[
            ("\\left(3+5\\right)\\cdot 2", 16),
            ("-3+5", 2),
            ("+3", 3),
            ("$3*5+7$", 22),
            ("7/2*2", 7),
            ("3 x 4", 12),
        ],
        *[
            ("(3)(5)", 15),
            ("3(5)", 15),
            ("{3+4}*2", 14),
            ("10.8*100", 1080),
            ("3*(-4)", -12),
            ("\\frac{-35}{7}", -5),
        ],
    ],
)
def test_usual_spellings_are_read(text, value):
    assert evaluate(text).value == value


def test_the_sides_of_an_equation_are_worth_the_same_or_it_is_refused():
    assert [side.numbers for side in sides("3*5=15-0=15")] == [(3, 5), (15, 0), (15,)]
    for untrue in ("3*5=16", "3*5=15=16", "3*5=", "=15"):
        with pytest.raises(ValueError, match=ONE_LINE):
            sides(untrue)


@given(
    st.recursive(
        st.integers(0, 99).map(str),
        lambda it: st.tuples(it, st.sampled_from("+-*/"), it).map("({0[0]}{0[1]}{0[2]})".format),
    )
)
def test_python_reads_the_same_value_in_floating_point(text):
    try:
        exact = evaluate(text).value
    except ValueError:
        return
    assert python_value(text) == pytest.approx(float(exact), rel=1e-9, abs=1e-9)


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
