"""What a training is said to take, beside what it took."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import test_d3llm
import test_opdlm
import test_teachers_answers
import test_vrpo
import torch
from attending import block_network
from command_line import QUICK, read_json, run
from fakes import JudgeTask, TinyNetwork
from small_run import DRAWS, EVERY_SECOND, NETWORK_SEED, NONE, SAMPLER, Study, dopsd, shared
from test_diffu_grpo import ARMS, RATIO, grpo
from test_sft import sft

from dopsd.config.sweep_list import SweepJob, write_jobs
from dopsd.distillation.curriculum import BlockLength, LengthLimit, MaskRatio
from dopsd.distillation.teacher import ARPrefixTeacher, SuffixTeacher
from dopsd.job.run_directory import RunDirectory
from dopsd.likelihood.coupled import Coupled
from dopsd.likelihood.trajectory import TrajectoryLikelihood
from dopsd.method.budget import BUDGET, Flop, StopAt
from dopsd.method.learning import Learning
from dopsd.method.method import Method
from dopsd.method.pair_file import FilePairs
from dopsd.method.pair_source import RolloutPairs
from dopsd.method.sft import RolloutSFT, TeacherSFT
from dopsd.method.teacher_weights import FixedWeights
from dopsd.policy.clipped_ratio import ClippedRatio
from dopsd.rollout import Cost, Rollout

forecast = import_module("dopsd.job.forecast")  # dopsd.job has the function of this name
ALL = Learning(learn_from="all")
NOTHING_SHOWN = SuffixTeacher(retain_ratio=0.0)  # so that every state is supervised
EXACT = replace(SAMPLER, early_exit=False)
GROUPS = Rollout(sampler=EXACT, max_attempts=4, keep="all", judged="canvas")
EVERYTHING = JudgeTask(lambda response, gold: 1.0)
MANY_VALUES = JudgeTask(
    lambda response, gold: sum(place * ord(letter) for place, letter in enumerate(response)) / 10_000
)
NOTHING_SPENT = dict.fromkeys(BUDGET, 0)


def spent_and_foretold(method: Method, draws: Any = DRAWS) -> tuple[dict[str, float], dict[str, float]]:
    """Of one training step, by the names of the budget; a step that is studied does not count itself."""
    method.budget.flop, method.max_steps = Flop(forward=3, backward=5), 1
    tokens = forecast.mean_tokens(method, [draw.example for draw in draws])
    most = {"prompts": len(draws), "tries": method.tries_per_prompt[-1], "before": NOTHING_SPENT}
    found = forecast.foretold(method, tokens, **most, stop_at=None)
    assert found.pop("training_steps") == 1
    Study(method, draws)
    return {name: method.budget.spent[name] for name in found}, found


@pytest.mark.parametrize("keep", ["first", "all"])
@pytest.mark.parametrize("teacher", [NOTHING_SHOWN, ARPrefixTeacher()])
@pytest.mark.parametrize("learning", [ALL, replace(ALL, states_per_trajectory=3)])
@pytest.mark.parametrize("cfg_scale", [0.0, 1.0])
def test_it_is_exact_where_nothing_is_left_to_luck(
    keep: Any, teacher: Any, learning: Learning, cfg_scale: float
) -> None:
    """All tries are refused, no answer ends early, everything is learnt from."""
    rollout = Rollout(sampler=replace(EXACT, cfg_scale=cfg_scale), max_attempts=2, keep=keep)
    method = dopsd(task=NONE, rollout=rollout, teacher=teacher, learning=learning)
    spent, foretold = spent_and_foretold(method)
    assert foretold == pytest.approx(spent)
    assert foretold["completions"] == 2 * len(DRAWS)


def rollout_sft(rollout: Rollout, **options: Any) -> RolloutSFT:
    form = {"form": "exact_count", "tail": "trained", "rollout": rollout}
    return RolloutSFT(
        **form, **shared(**{"network": TinyNetwork(NETWORK_SEED), "task": EVERYTHING} | options)
    )


def d3llm(**options: Any) -> Method:
    """Neither of an answer's views is empty."""
    masks = {"mask_ratio": MaskRatio(minimum=0.0, maximum=0.5), "block_length": BlockLength(lengths=(4,))}
    return test_d3llm.d3llm(**masks, **options)


def vrpo(**options: Any) -> Method:
    pairs = RolloutPairs(writer="start", compare="score", match="random")
    return test_vrpo.vrpo(**{"rollout": GROUPS, "pairs": pairs, "task": MANY_VALUES} | options)


def opdlm(**options: Any) -> Method:
    growing = LengthLimit(first=0.5, growing_steps=9)
    return test_opdlm.opdlm(**{"early_exit": False, "end_token": "included", "length": growing} | options)


EXACTLY: dict[str, Callable[[], Method]] = {
    "dopsd, updates": lambda: dopsd(
        task=NONE, rollout=GROUPS, teacher=NOTHING_SHOWN, learning=replace(ALL, updates_per_rollout=2)
    ),
    "sft": sft,
    "sft, block-causal": lambda: sft(network=block_network(4)),
    "sft on rollouts": lambda: rollout_sft(GROUPS),
    "sft on the first": lambda: rollout_sft(Rollout(sampler=EXACT, max_attempts=1)),
    "grpo": lambda: grpo(rollout=GROUPS, task=MANY_VALUES, inner_updates=3, mask_draws=2),
    "grpo, no reference": lambda: grpo(
        rollout=GROUPS, task=MANY_VALUES, surrogate=ClippedRatio(**RATIO | {"beta": 0.0})
    ),
    "elbo": lambda: grpo(rollout=GROUPS, task=MANY_VALUES, **ARMS["elbo"], inner_updates=2),
    "wd1": lambda: grpo(rollout=GROUPS, task=MANY_VALUES, **ARMS["wd1"], inner_updates=2),
    "spg": lambda: grpo(rollout=GROUPS, task=MANY_VALUES, **ARMS["spg"], inner_updates=2, mask_draws=1),
    "vrpo": vrpo,
    "d3llm": lambda: d3llm(learn_from="all", task=NONE),
    "d3llm, the student's": lambda: d3llm(
        answers="student",
        learn_from="all",
        rollout=Rollout(sampler=test_d3llm.SAMPLER, max_attempts=2, keep="all"),
    ),
    "d3llm, solutions": lambda: d3llm(answers="solutions", order="random"),
    "opdlm": opdlm,
    "opdlm, updates": lambda: opdlm(updates_per_rollout=3),
}
AT_MOST: dict[str, Callable[[], Method]] = {
    "dopsd": dopsd,
    "dopsd, updates": lambda: dopsd(teacher=NOTHING_SHOWN, learning=Learning(updates_per_rollout=2)),
    "dopsd, threshold": lambda: dopsd(
        rollout=Rollout(sampler=replace(SAMPLER, threshold=0.2), max_attempts=3)
    ),
    "sft on rollouts": lambda: rollout_sft(Rollout(sampler=SAMPLER, max_attempts=3), task=EVERY_SECOND),
    **{name: lambda arm=arm: grpo(**arm, inner_updates=2) for name, arm in ARMS.items()},
    "coupled": lambda: grpo(likelihood=Coupled(lowest_ratio=0.2, highest_ratio=0.8)),
    "trajectory": lambda: grpo(likelihood=TrajectoryLikelihood()),
    "vrpo": lambda: test_vrpo.vrpo(likelihood=TrajectoryLikelihood()),
    "d3llm": test_d3llm.d3llm,
    "opdlm": lambda: opdlm(early_exit=True, end_token="excluded"),
}


@pytest.mark.parametrize("make", EXACTLY.values(), ids=EXACTLY)
def test_it_is_exact_of_every_method(make: Callable[[], Method]) -> None:
    """No answer ends early, and each says something."""
    spent, foretold = spent_and_foretold(make())
    assert foretold == pytest.approx(spent)


@pytest.mark.parametrize("make", AT_MOST.values(), ids=AT_MOST)
def test_it_is_never_passed(make: Callable[[], Method]) -> None:
    spent, foretold = spent_and_foretold(make())
    assert all(spent[name] <= foretold[name] for name in spent)
    assert spent != foretold


def test_pairs_of_a_file_cost_no_rollout(tmp_path: Path) -> None:
    rows = [{"id": draw.example.id, "chosen": "abc", "rejected": "defg"} for draw in DRAWS]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pairs = FilePairs(path=str(tmp_path / "pairs.jsonl"), gen_length=8, block_length=4)
    spent, foretold = spent_and_foretold(vrpo(pairs=pairs, rollout=None))
    assert foretold == pytest.approx(spent)
    assert foretold["completions"] == 0 < foretold["training_forwards"]


@pytest.mark.parametrize("method", ["sft", "opdlm"])
def test_an_autoregressive_teacher_computes_two_columns_a_token(model: str, method: str) -> None:
    """Its token and the one before, as everything else is kept."""
    path = model.partition("=")[2]
    student = test_teachers_answers.student(path)
    greedy = test_teachers_answers.GREEDY
    rollout = replace(greedy, sampler=replace(greedy.sampler, early_exit=False))
    if method == "sft":
        chat = test_teachers_answers.chat_of(student, path)
        of_teacher = {"teacher_weights": FixedWeights(), "learn_from": "all", "rollout": rollout}
        form = {"form": "exact_count", "tail": "trained"}
        of = TeacherSFT(**of_teacher, **form, **shared(network=student, chat=chat, task=NONE))
    else:
        of = test_teachers_answers.opdlm(path, sft_share=1.0)
        of.rollout = rollout
    spent, foretold = spent_and_foretold(of, DRAWS[:2])
    assert foretold == pytest.approx(spent)
    assert foretold["denoising_forwards"] == 2 * test_teachers_answers.LENGTH


def test_a_method_without_rollouts_is_not_said_to_sample() -> None:
    names = ("completions", "denoising_forwards", "training_forwards", "no_gradient_forwards")
    cost = dict(zip(names, (0, 0, 60, 0), strict=True))
    evaluated = Cost(completions=4, denoising_forwards=24)
    assert forecast._counted({0: cost}, evaluated) == [
        "at most    60 forwards with gradients and 0 without, 24 in evaluations"
    ]


def test_a_limit_ends_it_and_what_was_spent_is_not_said_again() -> None:
    """Ten training steps of six rows."""
    of = sft(), (4.0, 4.0)

    def left(limits: dict[str, int], **before: int) -> dict[str, float]:
        stop_at = StopAt(**dict.fromkeys(BUDGET) | limits)
        found = forecast.foretold(
            *of, prompts=6, tries=0, before=NOTHING_SPENT | before, stop_at=stop_at if limits else None
        )
        return {name: found[name] for name in ("training_steps", "training_forwards")}

    assert left({}) == left({"training_forwards": 100}) == {"training_steps": 10, "training_forwards": 60}
    assert left({"training_forwards": 20}) == {"training_steps": 4, "training_forwards": 24}
    assert left({}, training_steps=7, training_forwards=5) == {"training_steps": 3, "training_forwards": 18}
    assert left({"training_forwards": 11}, training_forwards=5) == {
        "training_steps": 1,
        "training_forwards": 6,
    }
    assert left({"training_steps": 7}, training_steps=7) == {"training_steps": 0, "training_forwards": 0}


def test_the_first_job_of_a_sweep_speaks_for_all(tmp_path: Path) -> None:
    jobs = [
        SweepJob(directory=name, overrides=[], refused=why)
        for name, why in zip("abc", ("", "", "no"), strict=True)
    ]
    assert forecast._jobs(RunDirectory(tmp_path / "a")) == 1
    write_jobs(tmp_path, jobs)
    assert [forecast._jobs(RunDirectory(tmp_path / name)) for name in "ab"] == [2, 1]


def test_a_sweep_is_long_by_all_its_jobs(tmp_path: Path) -> None:
    write_jobs(tmp_path, [SweepJob(directory=name, overrides=[]) for name in "abc"])
    student = SimpleNamespace(plan=SimpleNamespace(device=torch.device("cpu")))
    flop = 0.4 * 0.05e12 * 3600
    assert forecast._time([flop], student, RunDirectory(tmp_path / "b")) == ()
    [line] = forecast._time([flop], student, RunDirectory(tmp_path / "a"))
    assert line.endswith("0.4 hours at 0.05 TFLOP/s; 3 jobs like this one: 1.2")


def test_a_long_run_says_it_before_it_starts(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "_LONG_H", 0.0)
    monkeypatch.setattr(forecast, "_OTHER_RATE", ("hours", 1e-9))
    settings = (
        "teacher=ar_prefix",
        "teacher_weights=ema",
        "parity.early_exit=false",
        model,
        "model.init=random",
    )
    ran = run(capsys, "train", *QUICK, *settings, f"hydra.run.dir={tmp_path / 'run'}")
    assert ran.code == 0, ran.err
    spent = read_json(tmp_path / "run" / "summary.json")
    said = re.search(
        r"^at most +(\S+) completions \(tries a prompt: 1\), (\S+) denoising forwards,\n"
        r" +(\S+) forwards with gradients and (\S+) without, \S+ in evaluations\n"
        r" +(\S+) FLOP, \S+ hours at 1e-09 TFLOP/s\n"
        r"memory +\d\S+ GB of .* \(0\.0 GB of them a teacher's .*\) a device,",
        ran.err,
        re.MULTILINE,
    )
    assert said is not None, ran.err
    names = ("completions", "denoising_forwards", "training_forwards", "no_gradient_forwards")
    assert [float(number) for number in said.groups()[:4]] == [spent[name] for name in names]
    assert float(said[5]) > spent["flop"]
    assert ran.err.index("at most") < ran.err.index("base, test")
    assert "which the run has done" not in ran.err
    ran = run(capsys, "train", f"resume={tmp_path / 'run'}", f"max_steps={spent['training_steps'] + 2}")
    assert ran.code == 0, ran.err
    assert re.search(
        rf"^ +after step {spent['training_steps']}, which the run has done$", ran.err, re.MULTILINE
    )
