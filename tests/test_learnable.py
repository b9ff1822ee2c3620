"""A training that cannot learn anything is refused before its model is looked at."""

import pytest
from command_line import run


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (["rho=1"], "rho=1: the teacher would be shown every masked position, and none is left to learn"),
        (
            ["rho=0.02"],
            "rho=0.02: the teacher would be shown no more than the student sees; must be at least 1/40",
        ),
        (
            ["teacher.region=later_blocks", "rho=0"],
            "rho=0: the teacher would be shown no more than the student sees; must be at least 1/32",
        ),
        (
            ["temperature=0"],
            "temperature=0: all 8 tries of a prompt would be the same; needs max_attempts=1, or a temperature above 0",
        ),
        (
            ["learning.train_last_block=false", "gen_length=8", "denoising_steps=8"],
            "learning.train_last_block=false: gen_length=8 has one block, nothing is left",
        ),
        (
            ["parity=code", "gen_length=16", "denoising_steps=8"],
            "updates_per_rollout=4: must be less than the 4 states that a trajectory has to cut",
        ),
        (
            ["teacher=later_state", "topk=teacher"],
            "teacher.gap=final: the teacher would be shown every position that could be supervised; needs topk=masked "
            "topk.honest=false, or at most 7 steps",
        ),
        (
            ["teacher=later_state", "topk=student", "teacher.gap=1"],
            "teacher.gap=1: the teacher would be shown every position that could be supervised; needs topk=masked "
            "topk.honest=false",
        ),
        (
            ["teacher=later_state", "topk.honest=true", "teacher.gap=40"],
            "teacher.gap=40: the teacher would be shown every position that could be supervised; needs topk=masked "
            "topk.honest=false, or at most 39 steps",
        ),
        (
            ["teacher=later_state", "updates_per_rollout=2"],
            "updates_per_rollout=2: must be 1 with states=one, one state of each rollout",
        ),
        (
            ["objective.vocab_top_k=1"],
            "objective.vocab_top_k=1: two distributions over one entry are always equal; must be at least 2",
        ),
    ],
)
def test_nothing_to_learn_is_one_line(
    typed: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = run(capsys, "train", *typed, "model.path=/nowhere")
    assert (ran.code, ran.err) == (2, f"dopsd: {line}\n")


@pytest.mark.parametrize(
    "typed",
    [
        ["teacher.region=later_blocks", "rho=1"],
        ["temperature=0", "max_attempts=1"],
        ["temperature=0", "rollout.sampler.remasking=random"],
        ["teacher=ar_prefix", "task=embedded_mixture"],
        ["teacher=later_state", "topk.honest=true", "teacher.gap=39"],
        ["teacher=later_state", "topk=teacher", "teacher.gap=7"],
        ["rho=1", "topk=masked"],
    ],
)
def test_what_can_learn_gets_as_far_as_its_model(
    typed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    ran = run(capsys, "train", *typed, "model.path=/nowhere")
    assert ran.err.startswith("dopsd: model.path=/nowhere: ")
