"""Generated sums and stories: splits share no calculation, working and answer are right, wrong answers are refused."""

import re
from fractions import Fraction

import pytest

from dopsd.task import SPLITS, Arithmetic
from dopsd.task.arithmetic.grading import strict

SETTINGS = [
    {},
    {"seed": 1, "story_share": 1.0},
    {"steps": 4, "operations": "+-*/", "story_share": 0.0},
    {"steps": 3, "operations": "+-*/", "max_number": 50},
]
SUM = re.compile(r"(?:What is|How much is|Calculate|Work out) ([^?.]*)[?.] ")
STEP = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)\.")
NUMBERS = re.compile(r"\d+")


def made(**settings):
    return Arithmetic(train=80, dev=30, test=50, **settings)


def calculation(example):
    """The first number and each operator and number, as the working has them."""
    steps = STEP.findall(example.solution)
    return (steps[0][0], *((operator, number) for _, operator, number, _ in steps))


@pytest.mark.parametrize("settings", SETTINGS)
def test_each_step_is_right_and_the_last_is_the_answer(settings):
    task = made(**settings)
    for example in (it for split in SPLITS for it in task.examples(split)):
        steps = STEP.findall(example.solution)
        assert 1 <= len(steps) <= settings.get("steps", 1)
        for value, operator, number, result in steps:
            exact = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}
            wanted = exact.get(operator, lambda a, b: a / b)(Fraction(value), Fraction(number))
            assert wanted == int(result) > 0
        assert [step[0] for step in steps[1:]] == [step[3] for step in steps[:-1]]
        assert example.solution.endswith(f" The answer is {steps[-1][3]}.")
        assert example.gold == int(steps[-1][3])


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_problem_says_what_its_working_does(settings):
    for example in made(**settings).examples("train"):
        first, *steps = calculation(example)
        asked = SUM.match(example.prompt)
        if asked:
            assert eval(asked[1]) == example.gold  # noqa: S307  (its own digits and signs)
        else:
            assert NUMBERS.findall(example.prompt) == [first, *(number for _, number in steps)]


@pytest.mark.parametrize("settings", SETTINGS)
def test_no_calculation_is_in_two_splits_whatever_the_seed_and_the_words(settings):
    task, other = made(**settings), made(**{**settings, "seed": 7, "story_share": 0.5})
    there = {
        split: {calculation(it) for of in (task, other) for it in of.examples(split)} for split in SPLITS
    }
    assert sum(map(len, there.values())) == len(set().union(*there.values()))
    prompts = [it.prompt for split in SPLITS for it in task.examples(split)]
    assert len(set(prompts)) == len(prompts)


def test_the_same_seed_gives_the_same_problems_and_another_gives_others():
    assert made().examples("test") == made().examples("test")
    assert made().examples("test") != made(seed=1).examples("test")
    assert made(story_share=1.0).examples("dev")[0].prompt.endswith("Write the calculation, then the number.")


def test_solutions_are_right_and_every_other_number_is_wrong():
    task = Arithmetic()
    for split in SPLITS:
        for it in task.examples(split):
            assert task.verdict(it, it.solution).accepted
            for wrong in (it.gold + 1, it.gold * 10, -it.gold, it.gold + Fraction(1, 2)):
                assert not task.verdict(it, f"{it.solution} No, {float(wrong):g}.").accepted


@pytest.mark.parametrize(
    ("response", "value"),
    [
        ("7 + 5 = 12. So 12 apples.", 12),
        ("12", 12),
        ("It is 1,200.", 1200),
        ("30-7", 7),
        ("-3", -3),
        ("0.5 or so", Fraction(1, 2)),
        ("\\boxed{12} and 3 more words", 12),
        ("<answer>12</answer> 4", 12),
        ("12<|eot_id|> 5", 12),
    ],
)
def test_where_there_is_no_box_the_last_number_is_the_answer(response, value):
    assert strict(Fraction(value), response).accepted
    assert not strict(Fraction(value) + 1, response).accepted


@pytest.mark.parametrize("response", ["", "twelve", "x12", "<answer></answer> 12", "\\boxed{"])
def test_what_holds_no_number_is_not_accepted(response):
    assert not strict(Fraction(12), response).accepted


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"steps": 0}, "task.steps=0: must be an integer in 1..6"),
        ({"operations": "+^"}, "task.operations='\\+\\^': must be some of the characters"),
        (
            {"operations": "*/", "steps": 2},
            r"task.operations='\*/': must have \+ or - with task.steps=2",
        ),
        ({"max_number": 3}, "task.max_number=3: must be an integer in 4..10000"),
        ({"story_share": 2}, "task.story_share=2: must be a number in 0..1"),
        ({"grader": "kind"}, "task.grader='kind': must be one of strict, field"),
    ],
)
def test_a_wrong_setting_is_one_line(settings, line):
    with pytest.raises(ValueError, match=rf"^{line}[^\n]*$"):
        made(**settings)


def test_too_many_problems_are_refused_in_one_line():
    few = Arithmetic(story_share=0.0, operations="+", max_number=4, train=500)
    with pytest.raises(ValueError, match=r"^task.train=500: these settings give only about \d+ problems$"):
        few.examples("train")
