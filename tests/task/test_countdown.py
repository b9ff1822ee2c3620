"""Countdown: splits are disjoint whatever the seed, solutions are right, verdicts exact on any string."""

import re
from itertools import pairwise
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dopsd.task import SPLITS, Countdown, Verdict
from dopsd.task.countdown.expression import all_expressions, random_guess
from dopsd.task.countdown.grading import CountdownGold
from dopsd.task.countdown.grading import strict as judge
from dopsd.task.countdown.puzzles import split_of
from dopsd.task.grading.calculation import evaluate

GOLD = CountdownGold(numbers=(7, 3, 5), target=22, operations="+-*")
VARIANTS = [
    {},
    {"max_number": 9, "operations": "+-*", "test": 256},
    {"operations": "+-*/", "test": 512},
    {"numbers": 4, "max_number": 20, "train": 300, "dev": 100, "test": 100},
    {"numbers": 5, "max_number": 50, "operations": "+-", "train": 100, "dev": 50, "test": 50},
    {"numbers": 6, "max_number": 9, "train": 100, "dev": 50, "test": 50},
    {"numbers": 3, "max_number": 100, "train": 500, "dev": 100, "test": 100},
    {"numbers": 2, "max_number": 12, "operations": "+-*", "dev": 20, "test": 30},
]


def answer(expression: str) -> str:
    return f"<reasoning></reasoning><answer>\\boxed{{{expression}}}</answer>"


def puzzles(task, split):
    return {(tuple(sorted(it.gold.numbers)), it.gold.target) for it in task.examples(split)}


@pytest.fixture(scope="module", params=VARIANTS, ids=str)
def task(request):
    return Countdown(**request.param)


def test_every_reference_solution_is_accepted_and_never_goes_below_zero(task):
    for split in SPLITS:
        for it in task.examples(split):
            assert task.verdict(it, it.solution).accepted
            reasoning = it.solution.partition("</reasoning>")[0].removeprefix("<reasoning>")
            for step in reasoning.split(", "):
                left, _, right = step.partition("=")
                assert right.isdigit()
                assert evaluate(left).value == int(right)
                assert len(evaluate(left).numbers) == 2


def test_splits_have_the_promised_size_no_repeats_and_nothing_in_common(task):
    seen = [puzzles(task, split) for split in SPLITS]
    for split, found in zip(SPLITS, seen, strict=True):
        examples = task.examples(split)
        assert len(found) == len(examples) == len({it.id for it in examples})
        assert task.sizes[split] in (None, len(examples))
    assert sum(map(len, seen)) == len(set().union(*seen))


def test_examples_stay_within_the_settings(task):
    for it in task.examples("test"):
        assert len(it.gold.numbers) == task.numbers
        assert all(1 <= value <= task.max_number for value in it.gold.numbers)
        assert 1 <= it.gold.target <= task.max_target
        assert it.prompt == task.prompt(it.gold.numbers, it.gold.target)
        assert len(it.prompt) < 400


def test_the_same_seed_gives_the_same_examples(task):
    same = Countdown(
        **{
            "numbers": task.numbers,
            "max_number": task.max_number,
            "operations": task.operations,
            **task.sizes,
        }
    )
    assert same.examples("dev") == task.examples("dev")


def test_another_seed_reorders_but_never_moves_a_puzzle_to_another_split():
    one, other = Countdown(seed=0), Countdown(seed=1)
    assert one.examples("dev") != other.examples("dev")
    assert not puzzles(one, "train") & puzzles(other, "test")
    assert not puzzles(other, "train") & puzzles(one, "test")
    assert puzzles(one, "train") == puzzles(other, "train")


def test_the_split_does_not_depend_on_the_order_of_the_numbers_nor_on_the_settings():
    assert split_of((7, 3, 5), 22) == split_of((3, 5, 7), 22)
    assert puzzles(Countdown(max_number=9, test=1), "train") <= puzzles(Countdown(), "train")


def test_numbers_are_shown_in_every_order():
    shown = [it.gold.numbers for it in Countdown().examples("train")]
    ascending = sum(all(a <= b for a, b in pairwise(numbers)) for numbers in shown)
    assert 0.05 < ascending / len(shown) < 0.35


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    st.lists(st.integers(1, 15), min_size=2, max_size=3), st.sampled_from(["+-*", "+-", "*", "+-*/", "-/"])
)
def test_enumerated_expressions_are_right_and_use_each_number_once(numbers, operations):
    for value, expressions in all_expressions(tuple(numbers), operations).items():
        assert [len(it.text) for it in expressions] == sorted(len(it.text) for it in expressions)
        for it in expressions:
            result = evaluate(it.text)
            assert result.value == value >= 0
            assert sorted(result.numbers) == sorted(numbers)
            assert result.operators <= set(operations)


def test_enumeration_misses_no_reachable_target():
    random = Random(0)
    for _ in range(2000):
        numbers = tuple(random.randint(1, 9) for _ in range(3))
        guess = random_guess(numbers, "+-*", random)
        assert evaluate(guess.text).value == guess.value
        assert sorted(evaluate(guess.text).numbers) == sorted(numbers)
        assert guess.value < 0 or guess.value in all_expressions(numbers, "+-*")


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    st.lists(st.integers(1, 3), min_size=2, max_size=6),
    st.sampled_from(["/", "-/", "+-*/"]),
    st.integers(0, 99),
)
def test_guesses_never_divide_by_zero(numbers, operations, seed):
    guess = random_guess(tuple(numbers), operations, Random(seed))
    assert evaluate(guess.text).value == guess.value


@pytest.mark.parametrize(
    "expression", ["3*5+7", "7+5*3", "(3*5)+7", "3\\times5+7", "3*5+7=22", "22=3*5+7", "+3*5+7"]
)
def test_right_answers_are_accepted(expression):
    assert judge(GOLD, answer(expression)) == Verdict(accepted=True, score=1.0)


@pytest.mark.parametrize(
    "expression",
    [
        "3*5+8",
        "22",
        "3*5+7+0",
        "3*5",
        "3*5+7=23",
        "3*7+5-4",
        "35-13",
        "7+5*3+7-7",
        "",
        "x",
        "3**5",
        "44/2",
        "(7*3*5)/5",
    ],
)
def test_wrong_answers_are_refused(expression):
    answered = expression != ""
    assert judge(GOLD, answer(expression)) == Verdict(accepted=False, score=0.0, answered=answered)


def test_operators_that_the_prompt_does_not_allow_are_refused():
    gold = {"numbers": (8, 2), "target": 4}
    assert judge(CountdownGold(**gold), answer("8/2")).accepted
    assert not judge(CountdownGold(**gold, operations="+-*"), answer("8/2")).accepted


@settings(derandomize=True, deadline=None, max_examples=500)
@given(st.text() | st.text(alphabet="3571+-*/()=\\boxed{}<answer> ").map(answer))
@example("9**9**9")
@example(answer("9**9**9"))
@example(answer("(" * 10_000))
@example("\ud800")
@example(answer("7" * 10_000))
def test_any_string_gets_a_verdict(response):
    verdict = judge(GOLD, response)
    assert isinstance(verdict, Verdict)
    assert verdict.accepted == (verdict.score == 1.0)
    assert judge(GOLD, response + " \n<|endoftext|><|endoftext|> ") == verdict


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", -1),
        ("seed", 0.5),
        ("numbers", 1),
        ("numbers", 7),
        ("numbers", True),
        ("max_number", 1),
        ("max_target", 0),
        ("operations", ""),
        ("operations", "++"),
        ("operations", "+^"),
        ("operations", 3),
        ("train", 0),
        ("dev", -5),
        ("test", "many"),
    ],
)
def test_a_bad_value_is_refused_in_one_line(key, value):
    with pytest.raises(ValueError, match=rf"^task.{key}={re.escape(repr(value))}: must be [^\n]*$"):
        Countdown(**{key: value})


@pytest.mark.parametrize(
    "settings", [{"test": 10**6}, {"numbers": 5, "max_number": 2, "test": 600, "operations": "+"}]
)
def test_a_split_that_cannot_be_filled_is_refused(settings):
    with pytest.raises(ValueError, match=r"^task.test=\d+: these settings give at most \d+ puzzles$"):
        Countdown(**settings).examples("test")


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="split='validation': must be one of train, dev, test"):
        Countdown().examples("validation")
