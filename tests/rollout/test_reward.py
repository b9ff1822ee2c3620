"""A reward is the weighted sum it is written as; d1's rewards are what its functions give."""

from pathlib import Path

import pytest
import torch
from fakes import JudgeTask
from omegaconf import OmegaConf

from dopsd.config.build import build
from dopsd.config.errors import UserError
from dopsd.diffusion.trajectory import Trajectory
from dopsd.entry.composing import CONF
from dopsd.rollout import RolloutBatch
from dopsd.rollout.cost import Cost
from dopsd.rollout.reward import Reward, reward_parts
from dopsd.task import Countdown, Sudoku, Task, Verdict
from dopsd.task.math500.grading import GRADERS as MATH_GRADERS
from dopsd.task.math500.task import Math500
from dopsd.task.question import QuestionTask
from dopsd.task.row_task import RowTask
from dopsd.task.source.row import Record
from dopsd.task.source.source import Source
from dopsd.task.task import Split
from dopsd.task.word_problems.grading import GRADERS
from dopsd.task.word_problems.task import WordProblems

ARMS = sorted(file.stem for file in (Path(CONF) / "reward").glob("*.yaml"))


class OneProblem(Source):
    """A word problem whose answer is 18."""

    def rows(self, split: Split) -> list[Record]:
        return [Record(values={"question": "How many?", "answer": "9+9\n#### 18"}, where="row 1")]


class GSM8KTask(WordProblems):
    name = "gsm8k"


class OneEquation(Math500):
    """A mathematics problem whose answer is a half."""

    def __init__(self) -> None:
        grade = MATH_GRADERS.named("task.grader", "strict")
        QuestionTask.__init__(self, OneProblem(), limit=None, grade=grade, prompt_template=None)

    def gold(self, row: Record) -> str:
        return "\\frac12"


def task_of(name: str) -> RowTask:
    if name == "math":
        return OneEquation()
    if name == "gsm8k":
        grade = GRADERS.named("task.grader", "strict")
        return GSM8KTask(OneProblem(), limit=None, grade=grade, prompt_template=None)
    return Countdown() if name == "countdown" else Sudoku(train=4, dev=1, test=1)


def arm(name: str) -> Reward:
    return build(
        OmegaConf.create({"reward": OmegaConf.load(Path(CONF) / "reward" / f"{name}.yaml")}), "reward"
    )


def batch_of(answered: list[tuple[Verdict, str]]) -> RolloutBatch:
    rows = torch.zeros(len(answered), dtype=torch.int64)
    trajectory = Trajectory(tokens=rows[:, None], step_map=rows[:, None], steps=rows, block_length=1)
    return RolloutBatch(
        trajectory=trajectory,
        keys=rows,
        prompt=rows,
        attempt=rows,
        attempts=rows,
        responses=[response for _, response in answered],
        verdicts=[verdict for verdict, _ in answered],
        prompts=1,
        cost=Cost(),
    )


def rewards(reward: Reward, task: Task, *responses: str) -> list[float]:
    example = task.examples("train")[0]
    return reward.of(batch_of([(task.verdict(example, it), it) for it in responses])).tolist()


def test_there_is_an_arm_for_every_task_of_d1_that_gives_one_number() -> None:
    assert ARMS == ["d1_countdown", "d1_gsm8k", "d1_math", "d1_sudoku", "default"]


@pytest.mark.parametrize("name", ["countdown", "sudoku", "gsm8k", "math"])
def test_the_arms_fit_their_tasks(name: str) -> None:
    for fitting in (arm("default"), arm(f"d1_{name}")):
        fitting.check(task_of(name))


def test_countdown_is_one_a_tenth_or_nothing() -> None:
    task = task_of("countdown")
    example = task.examples("train")[0]
    right = example.solution or ""
    wrong = f"<answer>\\boxed{{{example.gold.numbers[0]}}}</answer>"
    assert rewards(arm("d1_countdown"), task, right, wrong, "no idea") == pytest.approx([1, 0.1, 0])
    assert rewards(arm("default"), task, right, wrong, "no idea") == [1, 0, 0]


def test_sudoku_is_the_share_of_blanks() -> None:
    task = task_of("sudoku")
    gold = task.examples("train")[0].gold
    for grid in (gold.solution, "1" * 16):
        share = sum(grid[cell] == gold.solution[cell] for cell in gold.blanks) / len(gold.blanks)
        [found] = rewards(arm("d1_sudoku"), task, f"<answer>{grid}</answer>")
        assert found == pytest.approx(share)


@pytest.mark.parametrize(
    ("response", "reward"),
    [
        ("<reasoning>9+9</reasoning><answer>18</answer>", 4.0),
        ("<reasoning>\n9+9\n</reasoning>\n<answer>\n\\boxed{18}\n</answer>\n", 4.0),
        ("<reasoning>9+9</reasoning><answer>17</answer>", 2.0),
        ("<reasoning>9+9</reasoning><answer>17.5</answer>", 1.5),
        ("<reasoning>9+9</reasoning><answer>18</answer> I think", 3.5),
        ("Well: <reasoning>9+9</reasoning><answer>18</answer>", 3.0),
        ("<reasoning>9+9</reasoning> so <answer>18</answer>", 3.0),
        ("<answer>18</answer>", 2.75),
        ("<answer>18", 2.625),
        ("<reasoning><reasoning></reasoning></answer>", 0.25),
        ("", 0.0),
    ],
)
def test_gsm8k_is_right_an_integer_and_in_its_format(response: str, reward: float) -> None:
    assert rewards(arm("d1_gsm8k"), task_of("gsm8k"), response) == [pytest.approx(reward)]


@pytest.mark.parametrize(
    ("response", "reward"),
    [
        ("<answer>\\boxed{\\frac12}</answer>", 2.75),
        ("<answer>0.5</answer>", 2.5),
        ("It is \\boxed{0.5}", 2.25),
        ("<answer>\\boxed{2}</answer>", 0.75),
        ("<answer>", 0.5),
        ("no idea", 0.0),
    ],
)
def test_math_is_right_tagged_and_boxed(response: str, reward: float) -> None:
    """d1's 2 and its half of (1 for the tag, 1 for a box or half of it for none), less the quarter that all have."""
    assert rewards(arm("d1_math"), task_of("math"), response) == [pytest.approx(reward)]


def test_a_reward_is_the_weighted_sum_of_all_parts() -> None:
    verdict = Verdict(accepted=True, score=0.5, metrics={"correct": 1.0, "near": 0.25}, answered=True)
    weights = {"accepted": 1.0, "score": 2.0, "near": -4.0, "answered": 8.0}
    assert Reward(parts=weights).of(batch_of([(verdict, "")])).tolist() == [1 + 1 - 1 + 8]
    other = Verdict(accepted=False, score=0.0)  # of another task of a mixture: nothing is near
    assert Reward(parts=weights).of(batch_of([(other, "")])).tolist() == [8]
    assert {"near", "correct", *weights, "integer", "tags"} < set(reward_parts(verdict, ""))


def test_a_part_that_no_verdict_has_is_refused_with_those_there_are() -> None:
    task = JudgeTask(lambda response, gold: 0.0)
    with pytest.raises(
        ValueError, match=r"^reward\.parts\.cells=1: no part .* task=judge, which are correct, acc"
    ):
        Reward(parts={"score": 1.0, "cells": 1.0}).check(task)
    Reward(parts={"score": 1.0, "tags": 0.5}).check(task)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "reward.parts={}: at least one weight must not be 0"),
        ({"score": 0}, "reward.parts={score: 0}: at least one weight must not be 0"),
        ({"score": "much"}, "reward.parts={score: much}: must be a number for each name"),
        ({"score": float("nan")}, "reward.parts={score: nan}: must be a number for each name"),
    ],
)
def test_weights_that_make_no_reward_are_refused(parts: dict, message: str) -> None:
    node = {"_target_": "dopsd.rollout.reward.Reward", "parts": parts}
    with pytest.raises(UserError) as raised:
        build(OmegaConf.create({"reward": node}), "reward")
    assert str(raised.value) == message
