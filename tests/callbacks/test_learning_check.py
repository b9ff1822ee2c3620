"""A run of which nothing is learnt says so early, and why; counting goes on after a resume."""

from types import SimpleNamespace
from typing import Any

import pytest

from dopsd.callbacks.learning_check import LearningCheck
from dopsd.method.d3llm import RolloutD3LLM
from dopsd.method.diffu_grpo import DiffuGRPO
from dopsd.method.dopsd import DOPSD
from dopsd.method.sft import TeacherSFT

LEARNT = {"rollout/accepted": 0.5, "train/loss": 1.0, "train/gradient_norm": 0.2, "train/examples": 2.0}


class Watched:
    """Training steps of four prompts that log these values."""

    def __init__(self, takes_refused: str | None = None) -> None:
        self.said: list[str] = []
        self.check = LearningCheck(self.said.append, takes_refused=takes_refused)

    def step(self, values: dict[str, float], times: int = 1) -> "Watched":
        results = SimpleNamespace(metrics=lambda on_step: {"callback": values})
        trainer: Any = SimpleNamespace(_results=results)
        for _ in range(times):
            self.check.on_train_batch_end(trainer, None, None, range(4), 0)  # type: ignore[arg-type]
        return self


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ({"rollout/accepted": 0.0}, "no answer was accepted"),
        ({"rollout/accepted": 0.5}, "left nothing of the accepted answers to learn (try a lower rho)"),
        ({"rollout/accepted": 0.5, "train/too_short": 4.0}, "accepted answers were too short to be cut"),
        (LEARNT | {"train/gradient_norm": 3e-7}, "every gradient was 0"),
        (LEARNT | {"train/gradient_norm": float("nan")}, "no gradient was finite"),
        ({"sft/too_long": 4.0}, "no reference solution fits"),
        ({"d3llm/too_long": 4.0}, "no reference solution fits"),
        (
            {"rollout/accepted": 0.0, "opdlm/gen_length": 8.0},
            "no answer had a masked token but its end (try end_token=included",
        ),
        ({"pairs/too_long": 4.0, "pairs/without": 4.0}, "no reference solution fits"),
        ({"rollout/accepted": 0.5, "pairs/without": 4.0}, "no prompt had a better and a worse answer"),
    ],
)
def test_the_cause_is_named_once_after_three_steps(values: dict[str, float], cause: str) -> None:
    watched = Watched().step(values, 2)
    assert watched.said == []
    watched.step(values, 5)
    (line,) = watched.said
    assert "nothing was learnt in 3 training steps" in line
    assert cause in line
    assert cause in str(watched.check.counts.complaint)


def test_what_takes_refused_answers_is_the_methods_own_key() -> None:
    for key in ("learning.learn_from=all", "learn_from=all", None):
        (line,) = Watched(key).step({"rollout/accepted": 0.0}, 3).said
        assert ("learn_from" in line) == (key is not None)
        assert line.endswith(f"; {key} learns from refused answers, too)" if key else "or method=sft first)")
    assert RolloutD3LLM.takes_refused == TeacherSFT.takes_refused == "learn_from=all"
    assert DOPSD.takes_refused == "learning.learn_from=all"
    assert DiffuGRPO.takes_refused is None


def test_one_step_that_learns_is_enough() -> None:
    watched = Watched().step({"rollout/accepted": 0.0}, 2).step(LEARNT).step({"rollout/accepted": 0.0}, 9)
    assert (watched.said, watched.check.counts.complaint, watched.check.counts.examples) == ([], None, 2)


def test_a_resumed_run_counts_on() -> None:
    before, after = Watched().step(LEARNT, 3), Watched()
    after.check.load_state_dict(before.check.state_dict())
    after.step({"rollout/accepted": 0.0})
    assert (after.check.counts.steps, after.check.counts.examples) == (4, 6)
