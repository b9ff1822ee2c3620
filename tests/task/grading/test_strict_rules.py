"""Our graders: the last answer wins, and it counts for what it is worth however it is written."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dopsd.task.answer import write_response
from dopsd.task.grading import gsm8k, math500
from dopsd.task.grading.equivalence import equivalent
from dopsd.task.grading.gold import GoldError, countdown_gold, math_gold, number_gold, sudoku_gold

NUMBERS = [
    *(
        "1080",
        "1,080",
        "$1,080",
        "\\$1,080",
        "1{,}080",
        "1,\\!080",
        "1080.00",
        "1,080 dollars",
        "1080 \\text{ miles}",
    ),
    *(
        "x = 1080",
        "12 * 90 = 1080",
        "2160/2",
        "\\frac{2160}{2}",
        "1080%",
        "**1080**",
        "1,080 per week",
        "1080.",
        "1080°",
    ),
    *("The total is 1,080.", "1080\n", "$ 1080 $", "10.8 \\times 100", "108 \\cdot 10"),
]


@pytest.mark.parametrize("written", NUMBERS)
def test_a_number_is_read_however_it_is_written(written):
    assert gsm8k.strict(number_gold("... #### 1,080"), write_response("", written)).accepted
    assert not gsm8k.strict(number_gold("1081"), write_response("", written)).accepted


@pytest.mark.parametrize(
    "written", ["", "1080 or 1081", "1,08", "10 80", "1080 + x1", "-1080", "1080 and 3", "1080^2"]
)
def test_what_is_another_number_or_several_is_wrong(written):
    assert not gsm8k.strict(Fraction(1080), write_response("", written)).accepted


def test_the_last_answer_wins():
    assert gsm8k.strict(Fraction(2), "\\boxed{1} no, <answer>\\boxed{2}</answer>").accepted
    assert not gsm8k.strict(Fraction(1), "\\boxed{1} no, <answer>\\boxed{2}</answer>").accepted


@given(st.integers(-(10**9), 10**9), st.integers(1, 1000))
def test_every_writing_of_a_fraction_is_worth_the_same(above, below):
    gold = Fraction(above, below)
    for written in (
        f"{above}/{below}",
        f"\\frac{{{above}}}{{{below}}}",
        f"\\dfrac{{{2 * above}}}{{{2 * below}}}",
    ):
        assert gsm8k.strict(gold, write_response("", written)).accepted
        assert equivalent(written, f"\\frac{{{gold.numerator}}}{{{gold.denominator}}}")
        assert not equivalent(written, f"{above + 1}/{below}")


@given(st.integers(0, 10**12))
def test_thousands_commas_change_nothing(value):
    assert gsm8k.strict(Fraction(value), write_response("", f"{value:,}")).accepted
    assert number_gold(f"so #### {value:,}") == value
    assert equivalent(f"{value:,}", str(value))
    assert equivalent(str(value), f"{value:,}")


EQUAL = [
    ("0.25", "\\frac14"),
    ("\\frac{2}{4}", "\\frac12"),
    ("2\\frac{1}{2}", "\\frac{5}{2}"),
    ("\\frac{\\sqrt{2}}{2}", "\\frac{1}{\\sqrt{2}}"),
    ("2\\sqrt{2}", "\\sqrt{8}"),
    ("\\sqrt[3]{8}", "2"),
    ("x^2 + 2x + 1", "(x+1)^2"),
    ("2k+2", "2(k+1)"),
    ("\\frac{1}{2-x}", "-\\frac{1}{x-2}"),
    ("3, 2", "2,3"),
    ("\\{1, 2\\}", "2, 1"),
    ("3 \\text{ and } 2", "2, 3"),
    ("3 - 2\\sqrt{2}, 3 + 2\\sqrt{2}", "3 \\pm 2\\sqrt{2}"),
    ("[-2, 7]", "x \\in [-2,7]"),
    ("(-\\infty, 0) \\cup (1, 2]", "(1,2]\\cup(-\\infty,0)"),
    ("5 \\text{ cm}", "5"),
    ("5 cm^2", "5\\text{ cm}^2"),
    ("x = 5", "5"),
    ("5", "x = 5"),
    ("y = 2x", "y=x\\cdot 2"),
    ("2x - y = 0", "y = 2x"),
    ("\\begin{pmatrix} 0.5 \\\\ -1 \\end{pmatrix}", "\\begin{pmatrix} 1/2 \\\\ -1 \\end{pmatrix}"),
    ("C", "\\text{(C)}"),
    ("\\text{Evelyn}", "Evelyn"),
    ("90", "90^\\circ"),
    ("58500", "58,500"),
    ("11111111100", "11,\\! 111,\\! 111,\\! 100"),
    ("36.00", "\\$36"),
    ("i + 1", "1 + i"),
    ("\\frac{\\pi}{3}", "\\pi/3"),
    ("\\binom{5}{2}", "10"),
    ("4!", "24"),
    ("\\log_2 8", "3"),
    ("2516", "2516_8"),
    ("2516_{8}", "2516_8"),
    ("-\\frac{35}{9}", "\\frac{-35}{9}"),
    ("(3, \\frac{\\pi}{2})", "\\left( 3, \\frac{\\pi}{2} \\right)"),
    ("x \\le 5", "x \\leq 5"),
]
DIFFERENT = [
    ("0.3333", "\\frac13"),
    ("(2, 1)", "(1, 2)"),
    ("[1, 2)", "[1, 2]"),
    ("1, 2", "1, 2, 3"),
    ("1, 1", "1, 2"),
    ("x^2", "x^3"),
    ("y = 2x + 1", "y = 2x"),
    ("2516_7", "2516_8"),
    ("B", "\\text{(C)}"),
    ("\\begin{pmatrix} 1 & 2 \\end{pmatrix}", "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}"),
    ("6xy", "6ab"),
    ("\\infty", "10"),
    ("", "0"),
    ("10^{15}+1", "10^{15}"),
    ("\\sum_{i=1}^{3} i", "6"),
    ("x < 5", "5"),
    ("9^{9^{9^{9}}}", "9"),
    ("1/0", "1"),
]


@pytest.mark.parametrize(("answer", "gold"), EQUAL)
def test_expressions_worth_the_same(answer, gold):
    assert math500.strict(gold, write_response("", answer)).accepted


@pytest.mark.parametrize(("answer", "gold"), DIFFERENT)
def test_expressions_worth_something_else(answer, gold):
    assert not math500.strict(gold, write_response("", answer)).accepted


@pytest.mark.parametrize(
    "value", [None, "", "####", "#### many", "1/0", True, "nan", "1e400", "9" * 400, [3]]
)
def test_a_gold_number_that_cannot_be_read_is_an_error(value):
    with pytest.raises(GoldError, match=r"^[^\n]+ is not a number$"):
        number_gold(value)


@pytest.mark.parametrize("value", [None, "", "  ", "x" * 400, ["1"], True])
def test_a_gold_expression_that_cannot_be_read_is_an_error(value):
    with pytest.raises(GoldError, match=r"^[^\n]+ is not an answer$"):
        math_gold(value)


@pytest.mark.parametrize(
    ("numbers", "target"), [("", "3"), ("1,x", "3"), (None, 3), ([1, 2], None), ([1.5], 2), (3, 3)]
)
def test_a_countdown_puzzle_that_cannot_be_read_is_an_error(numbers, target):
    with pytest.raises(GoldError, match=r"are no puzzle$"):
        countdown_gold(numbers, target)


def test_the_two_ways_of_writing_a_countdown_puzzle_are_one():
    assert (
        countdown_gold("30,100,93", "23")
        == countdown_gold([30, 100, 93], 23)
        == countdown_gold("[30, 100, 93]", 23.0)
    )


@pytest.mark.parametrize(
    ("puzzle", "solution"),
    [
        ("1" * 16, "1234341221434321"),
        ("0" * 15, "1234341221434321"),
        ("0" * 16, "1" * 16),
        (None, None),
        ("5" + "0" * 15, "x"),
    ],
)
def test_a_sudoku_puzzle_that_cannot_be_read_is_an_error(puzzle, solution):
    with pytest.raises(GoldError, match=r"is no puzzle$"):
        sudoku_gold(puzzle, solution)


def test_zeros_that_a_table_dropped_come_back():
    assert sudoku_gold(4321, "1234341221434321").puzzle == "0000000000004321"
