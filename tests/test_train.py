"""What a run leaves behind, and that it can be taken up again."""

import csv
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import QUICK, Ran, read_json, run
from omegaconf import OmegaConf
from PIL import Image
from safetensors.torch import load_file

from dopsd.callbacks.dev_evaluation import DevEvaluation
from dopsd.chat import Chat
from dopsd.job import Examiner
from dopsd.method.budget import BUDGET
from dopsd.report.manifest import git_revision
from dopsd.task import Countdown, Verdict

KEYS = {
    *(
        "task",
        "model",
        "method",
        "overrides",
        "seed",
        "optimizer_steps",
        "completions",
        "processes",
        "base",
        "best",
        "final",
    ),
    *("wall_s", "trajectories_per_s", "peak_memory_gb", "versions"),
}
SMALL_TASK = ("task.max_number=4", "task.dev=3", "task.test=3", "model.init=random", "seed=1")
STATEFUL = ("lora_dropout=0.3", "teacher_weights=ema", "schedule.decay=cosine", "schedule.warmup_steps=1")
LONGER = (*QUICK, *SMALL_TASK, *STATEFUL, "eval_every=2", "eval_limit=null")


@pytest.fixture
def finished(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], half_accepted: None
) -> tuple[Ran, Path]:
    directory = tmp_path / "run"
    ran = run(capsys, "train", *LONGER, model, "max_steps=4", f"hydra.run.dir={directory}")
    assert ran.code == 0, ran.err
    return ran, directory


def metrics(directory: Path) -> list[dict[str, str]]:
    """metrics.csv without what depends on the clock."""
    with (directory / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    timed = ("perf/", "time/", "budget/device_seconds")
    return [{name: value for name, value in row.items() if not name.startswith(timed)} for row in rows]


def samples_of(directory: Path, weights: str) -> list[dict[str, Any]]:
    """The answers of a run's weights on test."""
    text = (directory / "samples" / f"{weights}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


def tensors(directory: Path) -> dict[str, torch.Tensor]:
    """All saved tensors of a run's final weights."""
    return load_file(directory / "weights" / "final" / "adapter_model.safetensors")


def test_a_run_leaves_everything(finished: tuple[Ran, Path]) -> None:
    ran, directory = finished
    assert "approximate" not in ran.err
    summary = read_json(directory / "summary.json")
    assert summary.keys() >= KEYS
    assert (summary["task"], summary["model"], summary["method"]) == ("countdown", "tiny", "dopsd")
    assert (summary["optimizer_steps"], summary["training_steps"], summary["stopped_early"]) == (4, 4, False)
    assert summary["completions"] >= 8
    assert summary["git"] == git_revision()
    assert all(
        summary[which].keys() >= {"accuracy", "low", "high", "n"} for which in ("base", "best", "final")
    )
    assert summary["best"]["training_step"] in {0, 2, 4}
    shares = {}
    for weights in ("base", "best", "final"):
        samples = samples_of(directory, weights)
        assert {(it["weights"], it["training_step"]) for it in samples} == {
            (weights, summary[weights]["training_step"])
        }
        assert len(samples) == summary[weights]["n"] == 3
        shares[weights] = [sample["verdict"] == "correct" for sample in samples]
        assert sum(shares[weights]) / 3 == pytest.approx(summary[weights]["accuracy"])
    for weights in ("best", "final"):
        against_base = summary[weights]["against_base"]
        assert against_base["difference"] == pytest.approx((sum(shares[weights]) - sum(shares["base"])) / 3)
        assert against_base["low"] <= against_base["difference"] <= against_base["high"]
        assert f"{100 * against_base['difference']:+.1f} points" in ran.out
    with Image.open(directory / "curve.png") as image:
        assert image.size[0] > 600
    assert re.search(r"base .*│", ran.out)
    assert "final (step 4)" in ran.out
    assert not list(directory.rglob("*.part"))


@pytest.mark.parametrize("lr", ["0.1", "1e-9"])
def test_best_weights_that_are_base_or_final_ones_are_not_decoded_twice(
    lr: str,
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    half_accepted: None,
) -> None:
    decoded, examine = [], Examiner.__call__

    def examined(self: Examiner, student: Any, split: str, title: str, **named: Any) -> Any:
        decoded.append(title)
        return examine(self, student, split, title, **named)

    monkeypatch.setattr(Examiner, "__call__", examined)
    directory = tmp_path / "run"
    ran = run(capsys, "train", *LONGER, model, f"lr={lr}", "max_steps=1", f"hydra.run.dir={directory}")
    assert ran.code == 0, ran.err
    assert [title for title in decoded if title.endswith("test")] == ["base, test", "final (step 1), test"]
    best = samples_of(directory, "best")
    same = "final" if best[0]["training_step"] else "base"
    assert best == [sample | {"weights": "best"} for sample in samples_of(directory, same)]


def test_what_is_learnt_from_is_not_what_is_reported(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """parity=paper learns from a quarter of the cells; it reports, and chooses best by, whole grids."""
    constant = "<answer>1111111111111111</answer>"  # a quarter of the cells in seven grids of ten
    monkeypatch.setattr(Chat, "texts", lambda self, answers: [constant] * len(answers))
    monkeypatch.setattr(Chat, "responses", lambda self, tokens: [constant] * len(tokens))
    directory = tmp_path / "run"
    sizes = (
        "task=sudoku",
        "task.train=8",
        "task.dev=8",
        "task.test=8",
        "prompts_per_step=8",
        "eval_limit=null",
    )
    small = (*sizes, "model.init=random", model)
    ran = run(capsys, "train", "parity=paper", *QUICK, *small, f"hydra.run.dir={directory}")
    assert ran.code == 0, ran.err
    summary = read_json(directory / "summary.json")
    assert summary["metric"] == "exact"
    for weights in ("base", "best", "final"):
        assert summary[weights]["accuracy"] == summary[weights]["metrics"]["exact"]["accuracy"] == 0
        assert 0.15 < summary[weights]["metrics"]["cells"]["accuracy"] < 0.35
    assert summary["chance"]["cells"] >= summary["base"]["metrics"]["cells"]["accuracy"]
    assert any(sample["accepted"] for sample in samples_of(directory, "base"))
    assert {sample["verdict"] for sample in samples_of(directory, "base")} == {"wrong"}
    _, row = metrics(directory)
    assert float(row["rollout/accepted"]) > 0
    assert (row["eval/accuracy"], row["eval/exact"]) == ("0.0", "0.0")
    assert float(row["eval/cells"]) > 0
    assert f"cells (chance {100 * summary['chance']['cells']:.1f} %)" in " ".join(ran.out.split())


def test_metrics_stand_in_the_row_of_their_step(finished: tuple[Ran, Path]) -> None:
    rows = metrics(finished[1])
    assert [row["step"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert [bool(row["eval/accuracy"]) for row in rows] == [True, False, True, False, True]
    assert all(row["train/loss"] and row["rollout/accepted"] and row["train/lr"] for row in rows[1:])
    assert len({row["train/lr"] for row in rows[1:]}) == 4  # STATEFUL has a schedule


def test_seconds_go_on_after_a_resume(finished: tuple[Ran, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "train", f"resume={finished[1]}", "max_steps=6").code == 0
    with (finished[1] / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    seconds = [float(row["time/wall_s"]) for row in rows]
    assert [row["step"] for row in rows] == [str(step) for step in range(7)]
    assert seconds == sorted(seconds)
    assert 0 < seconds[0] < seconds[-1] < read_json(finished[1] / "summary.json")["wall_s"]


def test_the_log_has_what_was_said_and_a_line_a_step(
    finished: tuple[Ran, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    ran, directory = finished
    lines = (directory / "train.log").read_text().splitlines()
    said = [re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (.*)", line) for line in lines]
    assert [found[1] for found in said if found] == ran.err.splitlines()
    assert [found[1].split()[0] for found in said if found][:7] == [
        *("directory", "task", "model", "trained", "device", "steps", "seed")
    ]
    assert sum(" step " in line and "/4: loss" in line and "accepted" in line for line in lines) == 4
    assert run(capsys, "train", f"resume={directory}").code == 0
    assert (directory / "train.log").read_text().splitlines()[: len(lines)] == lines


def test_a_log_is_plain_text_on_a_terminal_too(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes it for a terminal
    monkeypatch.setenv("TERM", "xterm")
    ran = run(capsys, "train", *QUICK, *SMALL_TASK, model, f"hydra.run.dir={tmp_path / 'run'}")
    assert ran.code == 0, ran.err
    text = (tmp_path / "run" / "train.log").read_text()
    assert "step 1/1: " in text
    assert "\x1b" in ran.err
    assert "\x1b" not in text


def test_config_is_resolved_and_whole(finished: tuple[Ran, Path]) -> None:
    config = OmegaConf.load(finished[1] / "config.yaml")
    assert config.teacher.retain_ratio == 0.25
    assert config.optimizer.lr == config.lr
    assert config.command.overrides[0] == "debug=fast_dev_run"
    OmegaConf.resolve(config)


def test_resume_point_holds_no_frozen_weight(finished: tuple[Ran, Path]) -> None:
    checkpoint = torch.load(finished[1] / "resume.ckpt", weights_only=True)
    names = list(checkpoint["state_dict"])
    assert names
    assert all("lora_" in name for name in names)


def test_an_interrupted_run_goes_on_as_if_nothing_had_been(
    finished: tuple[Ran, Path],
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    directory, check = tmp_path / "interrupted", DevEvaluation.on_train_batch_end

    def ctrl_c_in_step_3(self: DevEvaluation, *arguments: Any) -> None:
        if arguments[-1] == 2:
            signal.raise_signal(signal.SIGINT)
        check(self, *arguments)

    with monkeypatch.context() as patched, _ctrl_c_handled():
        patched.setattr(DevEvaluation, "on_train_batch_end", ctrl_c_in_step_3)
        ran = run(capsys, "train", *LONGER, model, "max_steps=4", f"hydra.run.dir={directory}")
    assert ran.code == 130
    assert ran.err.splitlines()[-1].startswith(
        f"dopsd: interrupted; the run's files are in {directory}; go on with"
    )
    assert not (directory / "summary.json").exists()

    ran = run(capsys, "train", f"resume={directory}")
    assert ran.code == 0, ran.err
    assert metrics(directory) == metrics(finished[1])
    ours, theirs = tensors(directory), tensors(finished[1])
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    same = (*(name for name in BUDGET if name != "device_seconds"), "base", "best", "final")
    whole, resumed = (read_json(d / "summary.json") for d in (finished[1], directory))
    assert {key: whole[key] for key in same} == {key: resumed[key] for key in same}
    assert [file.name for file in tmp_path.iterdir() if file.name == "runs"] == []


def test_a_finished_run_can_be_made_longer(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], half_accepted: None
) -> None:
    constant = (*LONGER, model, "schedule.decay=constant")
    run(capsys, "train", *constant, "max_steps=4", f"hydra.run.dir={tmp_path / 'long'}")
    run(capsys, "train", *constant, "max_steps=2", f"hydra.run.dir={tmp_path / 'short'}")
    assert run(capsys, "train", f"resume={tmp_path / 'short'}", "max_steps=4").code == 0
    assert metrics(tmp_path / "short") == metrics(tmp_path / "long")
    assert run(capsys, "train", f"resume={tmp_path / 'short'}").code == 0
    assert metrics(tmp_path / "short") == metrics(tmp_path / "long")


def test_training_stops_early_and_says_where(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Countdown, "verdict", lambda *_: Verdict(accepted=False, score=0.0))
    directory = tmp_path / "run"
    patient = (*LONGER, model, "eval_every=1", "max_steps=9", "early_stopping=2")
    ran = run(capsys, "train", *patient, f"hydra.run.dir={directory}")
    assert ran.code == 0, ran.err
    summary = read_json(directory / "summary.json")
    assert (summary["training_steps"], summary["stopped_early"]) == (2, True)
    assert (summary["final"]["training_step"], summary["best"]["training_step"]) == (2, 0)
    assert "final (step 2)" in ran.out
    assert [row["step"] for row in metrics(directory)] == ["0", "1", "2"]
    assert run(capsys, "train", f"resume={directory}").code == 0
    assert [row["step"] for row in metrics(directory)] == ["0", "1", "2"]


def test_training_ends_with_the_first_step_that_has_spent_enough(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], half_accepted: None
) -> None:
    directory = tmp_path / "run"
    limited = (*LONGER, model, "eval_every=5", "max_steps=9", "stop_at.completions=5", "curve_over=flop")
    ran = run(capsys, "train", *limited, f"hydra.run.dir={directory}")
    assert ran.code == 0, ran.err
    assert "training ends: completions 6 of stop_at.completions" in ran.err
    summary, rows = read_json(directory / "summary.json"), metrics(directory)
    assert [float(row["budget/completions"]) for row in rows] == [0, 2, 4, 6]
    assert [bool(row["eval/accuracy"]) for row in rows] == [True, False, False, True]
    assert (summary["training_steps"], summary["final"]["training_step"], summary["stopped_early"]) == (
        3,
        3,
        True,
    )
    with (directory / "metrics.csv").open(newline="") as file:
        *_, last = csv.DictReader(file)
    assert {name: float(last[f"budget/{name}"]) for name in BUDGET} == {
        name: summary[name] for name in BUDGET
    }
    assert run(capsys, "train", f"resume={directory}").code == 0
    assert metrics(directory) == rows
    assert run(capsys, "train", f"resume={directory}", "stop_at.completions=7").code == 0
    assert [float(row["budget/completions"]) for row in metrics(directory)] == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("asked", ["stop_at.completions=5", "curve_over=denoising_forwards"])
@pytest.mark.parametrize("method", [["method=sft"], ["method=d3llm", "answers=solutions", "order=random"]])
def test_what_a_method_never_spends_is_no_limit(
    method: list[str], asked: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = run(capsys, "train", *method, asked, f"hydra.run.dir={tmp_path / 'run'}")
    assert (ran.code, (tmp_path / "run").exists()) == (2, False)
    assert ran.err.startswith(f"dopsd: {asked}: this method samples nothing, it spends training_")
    assert len(ran.err.splitlines()) == 1


def test_approximate_rollouts_are_named_at_the_start(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = (*QUICK, *SMALL_TASK, model, "threshold=0.9", "cache=prefix")
    ran = run(capsys, "train", *typed, f"hydra.run.dir={tmp_path / 'run'}")
    said = "rollouts are approximate (threshold=0.9 cache=prefix)"
    assert said in " ".join(ran.err.split())


def test_a_step_without_an_accepted_answer_learns_nothing_and_says_so(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "run"
    arguments = (*LONGER, model, "learning.learn_from=accepted", "max_steps=4", f"hydra.run.dir={directory}")
    ran = run(capsys, "train", *arguments)
    assert ran.code == 0
    summary = read_json(directory / "summary.json")
    assert (summary["optimizer_steps"], summary["learnt_from"]) == (0, 0)
    assert [(row["rollout/accepted"], row.get("train/loss", "")) for row in metrics(directory)[1:]] == [
        ("0.0", "")
    ] * 4
    assert "WARNING: nothing was learnt in 3 training steps: no answer was accepted" in ran.err
    assert summary["nothing_learnt"].startswith(
        "nothing was learnt in 4 training steps: no answer was accepted"
    )
    assert summary["nothing_learnt"] in ran.out


def test_a_run_that_learns_says_from_how_many_examples(finished: tuple[Ran, Path]) -> None:
    summary, rows = read_json(finished[1] / "summary.json"), metrics(finished[1])[1:]
    assert summary["learnt_from"] == sum(float(row["train/examples"]) for row in rows) > 0
    assert summary["nothing_learnt"] is None


@pytest.mark.parametrize("lora", ["default", "none"])
def test_evaluation_of_a_run_repeats_its_figure(
    lora: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], half_accepted: None
) -> None:
    directory, there = tmp_path / "run", tmp_path / "evaluation"
    settings = [it for it in LONGER if lora != "none" or not it.startswith("lora_")]
    run(capsys, "train", *settings, model, f"lora={lora}", "lr=0.1", f"hydra.run.dir={directory}")
    ran = run(capsys, "evaluate", f"checkpoint={directory}", "weights=final", f"hydra.run.dir={there}")
    assert ran.code == 0, ran.err
    evaluation = read_json(there / "evaluation.json")["rows"][0]
    summary = read_json(directory / "summary.json")
    assert {key: evaluation[key] for key in ("accuracy", "n")} == {
        key: summary["final"][key] for key in ("accuracy", "n")
    }
    final = (directory / "samples" / "final.jsonl").read_text()
    assert (there / "samples.jsonl").read_text() == final


def test_evaluation_takes_what_is_typed_and_the_rest_from_the_run(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, there = tmp_path / "run", tmp_path / "evaluation"
    run(capsys, "train", *QUICK, *SMALL_TASK, "lora_r=2", model, f"hydra.run.dir={directory}")
    typed = ("task=sudoku", "task.dev=4", "gen_length=12", "denoising_steps=3", "block_length=4", "split=dev")
    ran = run(capsys, "evaluate", f"checkpoint={directory}", *typed, f"hydra.run.dir={there}")
    assert ran.code == 0, ran.err
    config = OmegaConf.load(there / "config.yaml")
    evaluation = read_json(there / "evaluation.json")["rows"][0]
    assert f"model.path={config.model.path}" == model
    assert config.lora.r == 2
    assert (evaluation["task"], evaluation["n"], evaluation["gen_length"]) == ("sudoku", 4, 12)


def test_a_plain_model_is_evaluated_without_a_checkpoint(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run(capsys, "evaluate", *QUICK[:4], *SMALL_TASK, model)
    assert ran.code == 0, ran.err
    assert len(list(tmp_path.glob("runs/*/*/evaluation.json"))) == 1


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    with _ctrl_c_handled():
        yield


class _ctrl_c_handled:  # noqa: N801
    """Lightning ignores Ctrl-C from the first one on; the next test wants it back."""

    def __enter__(self) -> None:
        self._handler = signal.getsignal(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._handler)
