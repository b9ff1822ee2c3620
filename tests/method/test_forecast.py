"""What a training is said to take, beside what it took."""

import re
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from command_line import QUICK, read_json, run
from fakes import TinyNetwork
from small_run import DRAWS, NETWORK_SEED, NONE, SAMPLER, Study, dopsd
from torch import nn

from dopsd.config.sweep_list import SweepJob, write_jobs
from dopsd.distillation.teacher import ARPrefixTeacher, SuffixTeacher
from dopsd.job.run_directory import RunDirectory
from dopsd.method.learning import Learning
from dopsd.rollout import Rollout

forecast = import_module("dopsd.job.forecast")  # dopsd.job has the function of this name
ALL = Learning(learn_from="all")
NOTHING_SHOWN = SuffixTeacher(retain_ratio=0.0)  # so that every state is supervised
EXACT = replace(SAMPLER, early_exit=False)


def spent_and_foretold(**options: Any) -> tuple[dict[str, float], dict[str, float]]:
    """Of one training step, by the names of what is foretold."""
    network = TinyNetwork(NETWORK_SEED)
    network.linear = nn.Linear(3, 5)  # for its FLOP
    method = dopsd(network=network, **options)
    tries = method.rollout.max_attempts
    lengths = forecast.mean_lengths(method, [draw.example for draw in DRAWS])
    found = forecast.Forecast.of(method, lengths, prompts=len(DRAWS), tries=tries)
    Study(method)
    return {name: method.budget.spent[name] for name in vars(found)}, vars(found)


@pytest.mark.parametrize("keep", ["first", "all"])
@pytest.mark.parametrize("teacher", [NOTHING_SHOWN, ARPrefixTeacher()])
@pytest.mark.parametrize("learning", [ALL, replace(ALL, states_per_trajectory=3)])
@pytest.mark.parametrize("cfg_scale", [0.0, 1.0])
def test_it_is_exact_where_nothing_is_left_to_luck(
    keep: Any, teacher: Any, learning: Learning, cfg_scale: float
) -> None:
    """All tries are refused, no answer ends early, everything is learnt from."""
    rollout = Rollout(sampler=replace(EXACT, cfg_scale=cfg_scale), max_attempts=2, keep=keep)
    spent, foretold = spent_and_foretold(task=NONE, rollout=rollout, teacher=teacher, learning=learning)
    assert foretold == pytest.approx(spent)
    assert foretold["completions"] == 2 * len(DRAWS)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"teacher": NOTHING_SHOWN, "learning": Learning(updates_per_rollout=2)},
        {"rollout": Rollout(sampler=replace(SAMPLER, threshold=0.2), max_attempts=3)},
    ],
)
def test_it_is_never_passed(options: dict[str, Any]) -> None:
    spent, foretold = spent_and_foretold(**options)
    assert all(spent[name] <= foretold[name] for name in spent)
    assert spent["completions"] < foretold["completions"]


def test_the_first_limit_ends_it() -> None:
    whole = forecast.Forecast(
        completions=100, denoising_forwards=800, training_forwards=400, no_gradient_forwards=400, flop=1e6
    )
    assert whole.until({}) == whole.until({"completions": 200, "tokens": 1}) == whole
    assert vars(whole.until({"completions": 50, "flop": 1e5})) == {k: v / 10 for k, v in vars(whole).items()}


def test_the_first_job_of_a_sweep_speaks_for_all(tmp_path: Path) -> None:
    jobs = [
        SweepJob(directory=name, overrides=[], refused=why)
        for name, why in zip("abc", ("", "", "no"), strict=True)
    ]
    assert forecast._jobs(RunDirectory(tmp_path / "a")) == 1
    write_jobs(tmp_path, jobs)
    assert [forecast._jobs(RunDirectory(tmp_path / name)) for name in "ab"] == [2, 1]


def test_a_long_run_says_it_before_it_starts(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "_LONG_H", 0.0)
    monkeypatch.setattr(forecast, "_OTHER_RATE", ("hours", 1e-9))
    settings = ("teacher=ar_prefix", "parity.early_exit=false", model, "model.init=random")
    ran = run(capsys, "train", *QUICK, *settings, f"hydra.run.dir={tmp_path / 'run'}")
    assert ran.code == 0, ran.err
    spent = read_json(tmp_path / "run" / "summary.json")
    said = re.search(
        r"^at most +(\S+) completions \(tries a prompt: 1\), (\S+) denoising forwards,\n"
        r" +(\S+) with gradients and as many of the teacher, \S+ in evaluations\n"
        r" +(\S+) FLOP, \S+ hours at 1e-09 TFLOP/s\nmemory +\d\S+ GB of .* a device,",
        ran.err,
        re.MULTILINE,
    )
    assert said is not None, ran.err
    names = ("completions", "denoising_forwards", "training_forwards")
    assert [float(number) for number in said.groups()[:3]] == [spent[name] for name in names]
    assert spent["training_forwards"] == spent["no_gradient_forwards"]
    assert float(said[4]) > spent["flop"]
    assert ran.err.index("at most") < ran.err.index("base, test")
