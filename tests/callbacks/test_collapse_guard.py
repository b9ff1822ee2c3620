"""A collapse on dev is seen at the evaluation that shows it, and warned of, ended, or taken back."""

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import QUICK, Ran, run
from safetensors.torch import load_file

from dopsd.job.metrics_file import read_metrics
from dopsd.task import Countdown, Verdict

DEV, TEST = 12, 2
SETTINGS = (
    *QUICK,
    "model.init=random",
    "task.max_number=9",
    f"task.dev={DEV}",
    f"task.test={TEST}",
    "eval_limit=null",
    "eval_every=1",
    "learning.learn_from=all",
    "rho=0.5",
    "lr=0.1",
    "callbacks=collapse_guard",
)
FELL = "dev accuracy fell from 100.0 % (step 0) to 0.0 % (step {}), p = 0.0002"


@pytest.fixture
def train(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Ran]:
    """A training whose answers are right before its first step and never after."""
    verdicts: list[bool] = []

    def verdict(*_: object) -> Verdict:
        verdicts.append(len(verdicts) < TEST + DEV)
        return Verdict(accepted=verdicts[-1], score=float(verdicts[-1]))

    monkeypatch.setattr(Countdown, "verdict", verdict)

    def start(*overrides: str) -> Ran:
        settings = (*SETTINGS, model, f"hydra.run.dir={tmp_path / 'run'}")
        return run(capsys, "train", *(() if overrides[0].startswith("resume=") else settings), *overrides)

    return start


def test_it_warns_by_default(train, tmp_path: Path) -> None:
    ran = train("max_steps=2")
    assert ran.code == 0, ran.err
    assert [f"WARNING: {FELL.format(step)}" in ran.err for step in (1, 2)] == [True, True]
    logged = read_metrics(tmp_path / "run" / "metrics.csv")
    assert [row.get("guard/fell") for row in logged] == [None, 1, 1]
    assert logged[1]["guard/p"] == pytest.approx(1 / 2**DEV, rel=0.01)
    assert moved(tmp_path / "run") > 0


def test_it_ends_the_training(train, tmp_path: Path) -> None:
    ran = train("max_steps=2", "callbacks.action=stop")
    assert ran.code == 0, ran.err
    assert f"training ends: {FELL.format(1)}" in ran.err
    assert "dev, step 2" not in ran.err
    assert moved(tmp_path / "run") > 0


def test_it_goes_back_to_the_best_weights_and_more_slowly_also_when_resumed(train, tmp_path: Path) -> None:
    ran = train("max_steps=1", "callbacks.action=roll_back")
    assert ran.code == 0, ran.err
    assert f"{FELL.format(1)}; back to the best weights, learning rate times 0.5\n" in ran.err
    assert moved(tmp_path / "run") == 0
    ran = train(f"resume={tmp_path / 'run'}", "max_steps=2")
    assert ran.code == 0, ran.err
    assert f"{FELL.format(2)}; back to the best weights, learning rate times 0.25\n" in ran.err
    assert moved(tmp_path / "run") == 0


def test_all_weights_go_back_as_well(train, tmp_path: Path) -> None:
    ran = train("max_steps=1", "callbacks.action=roll_back", "lora=none")
    assert ran.code == 0, ran.err
    best, final = (
        load_file(tmp_path / "run" / "weights" / of / "model.safetensors") for of in ("best", "final")
    )
    assert best.keys() == final.keys()
    assert all(best[name].equal(final[name]) for name in best)


def test_an_average_of_what_collapsed_is_refused(train) -> None:
    ran = train("callbacks.action=roll_back", "teacher_weights=ema")
    assert ran.code == 2
    assert ran.err.strip() == (
        "dopsd: callbacks.action=roll_back: teacher_weights=ema keeps what the collapse left, use fixed or live"
    )


def moved(run: Path) -> float:
    """How far the last weights of the adapters are from their first ones, which are 0."""
    weights = load_file(run / "weights" / "final" / "adapter_model.safetensors")
    return max(float(weight.abs().max()) for name, weight in weights.items() if "lora_B" in name)
