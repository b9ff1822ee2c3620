"""Our graders: the last answer counts for what it is worth however it is written, and nothing else is right."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dopsd.task import GSM8K, Countdown, Math500, Sudoku
from dopsd.task.answer import last_boxed, write_response
from dopsd.task.countdown.gold import countdown_gold
from dopsd.task.math500.equivalence import equivalent
from dopsd.task.math500.grading import math_gold
from dopsd.task.source.row import GoldError
from dopsd.task.sudoku import grading as sudoku
from dopsd.task.sudoku.gold import SudokuGold, sudoku_gold
from dopsd.task.word_problems import grading as gsm8k
from dopsd.task.word_problems.grading import number_gold

ROWS = [json.loads(line) for line in Path(__file__).with_name("answers.jsonl").read_text().splitlines()]
STRICT = {task.name: task.graders.strict for task in (Countdown, Sudoku, GSM8K, Math500)}
READERS = {"math500": math_gold, "gsm8k": number_gold, "countdown": lambda gold: countdown_gold(*gold)}
_BEHIND = (
    " or 7¦, 7¦; 7¦\\text{ or }7¦\\text{ and }7¦ 7¦\\,7¦{7}¦(2)¦+1¦\\pm 1¦ =7¦ < 7¦\\cdot 2¦"
    "\\times 10^3¦/2¦x¦ab¦i¦\\mathrm{i}¦\\operatorname{i}¦\\pi¦\\infty¦_7¦'¦ not¦ million¦ dozen¦"
    " is not right¦ squared¦\\text{ wrong}¦\\text{ squared}¦\\text{ five}¦th¦\\%\\text{ of }7¦ cm or 7¦"
    "\\text{ cm, not }¦\\text{ cm}7¦...¦\\ldots¦?¦|¦}¦)¦+"
)
BEHIND = _BEHIND.split("¦")
_BEFORE = (
    "7 or ¦7, ¦7 ¦not ¦\\text{not }¦\\neq ¦-¦2¦7=¦x+y=¦x¦~¦\\approx ¦about ¦> ¦\\sqrt{2}¦1+¦2\\cdot ¦"
    "\\mathrm{d}¦\\ln ¦|¦\\overline ¦5{¦\\text{either }¦at least ¦\\pm "
)
BEFORE = _BEFORE.split("¦")
_SAID = (
    "The answer is GOLD.¦\\text{The final answer is }GOLD¦**Answer:** $GOLD$¦```\nGOLD\n```¦= GOLD¦GOLD \\\\"
    "¦\\color{red} GOLD"
)
SAID = _SAID.split("¦")
_DOUBTED = (
    "The answer is not GOLD¦The wrong answer is GOLD¦\\text{The answer is either }GOLD¦\\not = GOLD¦minus GOLD"
    "¦The answer is GOLD or 7193¦The answer is less than GOLD¦Answer: about GOLD"
)
DOUBTED = _DOUBTED.split("¦")
GRID = SudokuGold(puzzle="1200340020004021", solution="1234341221434321")


def accepted(task, gold, answer):
    return STRICT[task](gold, write_response("", answer)).accepted


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['task']} {row['gold']}")
def test_right_answers_are_right_and_wrong_ones_wrong_however_they_are_written(row):
    gold = READERS[row["task"]](row["gold"])
    assert [answer for answer in row["right"] if not accepted(row["task"], gold, answer)] == []
    assert [answer for answer in row["wrong"] if accepted(row["task"], gold, answer)] == []


def test_pairs_from_the_field(cases):
    rows = [json.loads(line) for line in (cases / "grading.jsonl").read_text().splitlines()]
    verdicts = [
        (row, accepted(row["task"], READERS[row["task"]](row["gold"]), row["answer"])) for row in rows
    ]
    assert [row for row, right in verdicts if right and not row["equal"]] == []
    refused = [row for row, right in verdicts if row["equal"] and not right]
    assert len(refused) <= 0.1 * sum(row["equal"] for row in rows), refused


@pytest.fixture(scope="module")
def math_golds(real_data):
    """The different answers of MATH."""
    rows = [
        json.loads(line)
        for name in ("test", "train")
        for line in (real_data / "math500" / f"{name}.jsonl").read_text().splitlines()
    ]
    return sorted({math_gold(row.get("answer") or last_boxed(row["solution"])) for row in rows})


def test_every_gold_of_math_answers_itself_and_its_last_full_stop_is_nothing(math_golds):
    assert [gold for gold in math_golds if not equivalent(gold, gold)] == []
    assert [
        gold for gold in math_golds if not gold.endswith(".") and not equivalent(f"${gold}$.", gold)
    ] == []


def test_nothing_may_stand_before_or_behind_a_right_answer(math_golds):
    """But for 0, 1 and the like, of which a multiple or a power can be worth the same."""
    golds = [gold for gold in math_golds if not set("017") & set(gold)][::60]
    changed = [(gold, gold + end) for gold in golds for end in BEHIND]
    changed += [(gold, start + gold) for gold in golds for start in BEFORE]
    assert [(gold, answer) for gold, answer in changed if equivalent(answer, gold)] == []


def test_an_introduction_and_a_wrapping_say_nothing_and_a_doubt_in_them_does(math_golds):
    golds = [gold for gold in math_golds if len(gold) < 250 and not set("0") & set(gold)][::30]
    for said in SAID:
        assert [gold for gold in golds if not equivalent(said.replace("GOLD", gold), gold)] == []
    for doubted in DOUBTED:
        assert [gold for gold in golds if equivalent(doubted.replace("GOLD", gold), gold)] == []


def test_the_last_answer_wins():
    assert gsm8k.strict(Fraction(2), "\\boxed{1} no, <answer>\\boxed{2}</answer>").accepted
    assert not gsm8k.strict(Fraction(1), "\\boxed{1} no, <answer>\\boxed{2}</answer>").accepted


@given(st.integers(-(10**9), 10**9), st.integers(1, 1000))
def test_every_writing_of_a_fraction_is_worth_the_same(above, below):
    gold = Fraction(above, below)
    whole, rest = divmod(abs(gold), 1)
    mixed = f"{'-' * (gold < 0)}{whole} {rest}" if whole and rest else f"{above}/{below}"
    for written in (
        f"{above}/{below}",
        f"\\frac{{{above}}}{{{below}}}",
        f"\\dfrac{{{2 * above}}}{{{2 * below}}}",
        mixed,
    ):
        assert accepted("gsm8k", gold, written)
        assert equivalent(written, f"\\frac{{{gold.numerator}}}{{{gold.denominator}}}")
        assert not equivalent(written, f"{above + 1}/{below}")


@given(st.integers(0, 10**12), st.sampled_from([",", "{,}", "\\,", " ", ",\\!", "\\ "]))
def test_what_groups_thousands_changes_nothing(value, separator):
    written = f"{value:,}".replace(",", separator)
    assert number_gold(f"so #### {value:,}") == value
    assert accepted("gsm8k", Fraction(value), written)
    assert equivalent(written, str(value))
    assert equivalent(str(value), written)
    assert value < 1000 or not equivalent(written[:-1], str(value))


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        *[
            ("```\n1234\n3412\n2143\n4321\n```", True),
            ("**1234 3412 2143 4321**", True),
            ("1234|3412|2143|4321", True),
        ],
        ("+---+---+\n|12|34|\n|34|12|\n+---+---+\n|21|43|\n|43|21|\n+---+---+", True),
        ("\\begin{array}{|cc|cc|}\\hline 1&2&3&4\\\\3&4&1&2\\\\\\hline 2&1&4&3\\\\4&3&2&1\\end{array}", True),
        ("```text\n1234341221434321\n```", True),
        ("\\text{１２３４ ３４１２ ２１４３ ４３２１}.", True),
        ("The answer is -1234341221434321", False),
        *[
            ("1234341221434321 or 1", False),
            ("the grid 1234341221434321", False),
            ("12343412214343211", False),
        ],
        *[("123434122143432", False), ("1234341221434322", False), ("0234341221434321", False), ("", False)],
    ],
)
def test_a_grid_may_have_borders_and_nothing_else(answer, right):
    assert sudoku.strict(GRID, f"<answer>{answer}</answer>").accepted == right


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
