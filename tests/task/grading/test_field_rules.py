"""The rules by which the d1 lineage of parsers finds and compares an answer."""

from fractions import Fraction

import pytest

from dopsd.task.countdown import grading as countdown
from dopsd.task.countdown.gold import CountdownGold
from dopsd.task.math500 import grading as math500
from dopsd.task.math500.field_latex import same_spelling
from dopsd.task.sudoku import grading as sudoku
from dopsd.task.sudoku.gold import SudokuGold
from dopsd.task.word_problems import grading as gsm8k

PUZZLE = CountdownGold(numbers=(7, 3, 5), target=22)
GRID = SudokuGold(puzzle="1200340020004021", solution="1234341221434321")


@pytest.mark.parametrize(
    ("response", "value"),
    [
        ("\\boxed{18} and \\boxed{19}", 18),
        ("\\boxed{...} \\boxed{} \\boxed{so many} \\boxed{19}", 19),
        ("\\boxed{20 dollars and 5 cents}", 20),
        ("\\boxed{1,080}", 1),
        ("\\boxed{\n18}", None),
        ("\\boxed{18", None),
        ("<answer>first 17 then 18</answer>", 18),
        ("<answer>\\boxed{18</answer>", 18),
        ("<answer>18", None),
        ("18", None),
        ("\\boxed{-2.50}", Fraction(-5, 2)),
    ],
)
def test_gsm8k_takes_the_first_box_with_a_number(response, value):
    for gold in (Fraction(18), Fraction(19), Fraction(20), Fraction(17), Fraction(1), Fraction(-5, 2)):
        assert gsm8k.field(gold, response).accepted == (gold == value)


@pytest.mark.parametrize(
    ("response", "right"),
    [
        ("\\boxed{7 + 3*5}", True),
        ("\\boxed{1} \\boxed{7 + 3 \\times 5 = 22}", True),
        ("\\boxed{7 + 3*5} \\boxed{7}", False),
        ("so 7 + 3 * 5 = 22", True),
        ("so 7 + 3 * 5 is 22", False),
        ("<answer>7 + 3*5</answer>", False),
        ("\\boxed{7 + 3*5 <answer>7 + 3*5</answer>", True),
        ("\\boxed{22}", False),
        ("\\boxed{7 + 3*5.0}", False),
        ("\\boxed{7 - -3*5}", True),
        ("\\boxed{7**3**5}", False),
    ],
)
def test_countdown_reads_the_last_box_or_the_whole_response(response, right):
    assert countdown.field(PUZZLE, response).accepted == right


@pytest.mark.parametrize(
    ("response", "cells"),
    [
        ("<answer>1234341221434321</answer>", 1),
        ("<answer>1234\n3412\n2143\n4321</answer>", 1),
        ("<answer>12343412214343210000</answer>", 1),
        ("<answer>123434122143</answer>", 7 / 8),
        ("<answer>the grid ```\n1234341221434321\n```</answer>", 1),
        ("<answer></answer> 1234341221434321 <|eot_id|> no", 1),
        ("1234341221434321 </answer>", 1),
        ("the grid 1234341221434321", 1),
        ("<answer>0000000000000000</answer> 1234341221434321", 0),
        ("", 0),
    ],
)
def test_sudoku_compares_the_blanks_of_the_first_answer(response, cells):
    verdict = sudoku.field(GRID, response)
    assert verdict.metrics["cells"] == verdict.score == cells


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("\\dfrac{1}{2}", "\\frac12"),
        ("0.5", "\\frac{1}{2}"),
        ("3/4", "\\frac{3}{4}"),
        (".25", "0.25"),
        ("x=5", "5"),
        ("12\\text{ cm}", "12"),
        ("90^\\circ", "90"),
        ("\\left( 1, 2 \\right)", "(1,2)"),
        ("10\\%", "10"),
        ("\\sqrt3", "\\sqrt{3}"),
        ("1{,}\\!000", "1{,}000"),
    ],
)
def test_spellings_that_the_field_holds_equal(answer, gold):
    assert same_spelling(answer, gold)
    assert math500.field(gold, f"so <answer>\\boxed{{{answer}}}</answer>").accepted


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("0.25", "\\frac{1}{4}"),
        ("58500", "58,500"),
        ("2, 1", "1, 2"),
        ("\\frac24", "\\frac12"),
        ("a/b", "\\frac{a}{b}"),
    ],
)
def test_spellings_that_the_field_holds_different(answer, gold):
    assert not same_spelling(answer, gold)


def test_math_reads_the_last_box_and_without_one_no_answer_tag():
    assert math500.field("2", "\\boxed{1} \\boxed{2}").accepted
    assert math500.field("2", "\\boxed 2$ is it").accepted
    assert math500.field("2", "\\boxed 2").accepted
    assert not math500.field("2", "<answer>2</answer>").accepted
    assert math500.field("2", "<answer>2</answer> \\boxed{1").accepted
    assert math500.field("2", "\\boxed{} <answer>2</answer>").accepted
