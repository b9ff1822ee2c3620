"""Two processes do what one does: the same tokens, loss, weights, figures and files."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from command_line import QUICK, Ran, read_json, run
from half_accepted import verdict
from safetensors.torch import load_file

from dopsd.task import Countdown

SCRIPT = Path(__file__).with_name("half_accepted.py")
SCARCE = Path(__file__).parents[1] / "scarce_memory.py"
TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone")
ON_TWO = ("trainer.accelerator=cpu", "trainer.devices=2")
LONGER = (
    *QUICK,
    *("task.max_number=4", "task.dev=3", "task.test=3", "model.init=random", "eval_limit=null"),
    *("learning.learn_from=accepted", "eval_every=2", "lr=0.01"),
)
FIGURES = ("optimizer_steps", "training_steps", "completions", "base", "best", "final")


@pytest.fixture(autouse=True)
def _half_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Countdown, "verdict", verdict)


def command(*arguments: str, timeout_s: float = 200) -> Ran:
    """A command in processes of its own."""
    ran = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return Ran(code=ran.returncode, out=ran.stdout, err=ran.stderr)


def rows(directory: Path) -> list[dict[str, float]]:
    """metrics.csv without what depends on the clock."""
    with (directory / "metrics.csv").open(newline="") as file:
        return [
            {name: float(value) for name, value in row.items() if value and not name.startswith("perf/")}
            for row in csv.DictReader(file)
        ]


def assert_same_run(one: Path, other: Path) -> None:
    """Everything that a run leaves, but for its times."""
    assert len(rows(one)) == len(rows(other))
    for row, expected in zip(rows(one), rows(other), strict=True):
        assert row == pytest.approx(expected, rel=1e-4, abs=1e-5)
    ours, theirs = (load_file(d / "weights/final/adapter_model.safetensors") for d in (one, other))
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        torch.testing.assert_close(weight, theirs[name], rtol=0, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
    assert (one / "samples.jsonl").read_text() == (other / "samples.jsonl").read_text()
    ours, theirs = (read_json(d / "summary.json") for d in (one, other))
    assert {key: ours[key] for key in FIGURES} == {key: theirs[key] for key in FIGURES}
    assert {file.name for file in one.iterdir()} == {file.name for file in other.iterdir()}


@pytest.mark.parametrize(
    "trainer", [("trainer=ddp", "teacher_weights=ema"), ("trainer=fsdp",)], ids=lambda t: t[0]
)
def test_torchrun_trains_like_one_process_and_the_run_goes_on_in_one(
    trainer: tuple[str, ...],
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = (*LONGER, model, "prompts_per_step=2", "max_steps=4", "seed=1", *trainer[1:])
    ran = run(capsys, "train", *settings, "hydra.run.dir=one")
    assert ran.code == 0, ran.err
    assert {0.0, 0.5, 1.0} >= {row["rollout/accepted"] for row in rows(tmp_path / "one")} >= {0.5}
    ran = command(*TORCHRUN, str(SCRIPT), *settings, trainer[0], *ON_TWO, "paths.runs=two")
    assert ran.code == 0, ran.err
    (two,) = (tmp_path / "two").glob("*/*")
    assert_same_run(two, tmp_path / "one")

    assert run(capsys, "train", "resume=one", "max_steps=6").code == 0
    ran = run(capsys, "train", f"resume={two}", "max_steps=6", "trainer=cpu")
    assert ran.code == 0, ran.err
    assert_same_run(two, tmp_path / "one")


def test_a_rank_that_runs_out_of_memory_does_its_part_again(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = (*LONGER, model, "prompts_per_step=2", "learning.learn_from=all", "micro_batch_tokens=200")
    ran = command(
        *TORCHRUN, str(SCARCE), *settings, "trainer=ddp", *ON_TWO, f"hydra.run.dir={tmp_path / 'two'}"
    )
    assert ran.code == 0, ran.err
    assert ran.err.count("is now") == 1
    assert run(capsys, "train", *settings, f"hydra.run.dir={tmp_path / 'one'}").code == 0
    row, expected = rows(tmp_path / "two")[0], rows(tmp_path / "one")[0]
    assert row["train/loss"] == pytest.approx(expected["train/loss"], abs=1e-5)
    assert row["train/gradient_norm"] == pytest.approx(expected["train/gradient_norm"], rel=1e-4)


def test_a_rank_of_a_divided_network_that_runs_out_of_memory_ends_all(model: str, tmp_path: Path) -> None:
    settings = (*LONGER, model, "prompts_per_step=2", "learning.learn_from=all", "micro_batch_tokens=200")
    started = time.monotonic()
    ran = command(
        *TORCHRUN, str(SCARCE), *settings, "trainer=fsdp", *ON_TWO, f"hydra.run.dir={tmp_path / 'two'}"
    )
    assert time.monotonic() - started < 60
    assert ran.code != 0
    said = [line for line in ran.err.splitlines() if line.startswith("dopsd: ")]
    assert len(said) == 1
    assert said[0].startswith("dopsd: micro_batch_tokens=200: out of memory in an update on states of ")
    assert said[0].endswith("; try micro_batch_tokens=54")


def test_a_sweep_has_one_directory_a_job_and_its_jobs_come_one_after_the_other(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = (*LONGER, model, "prompts_per_step=2", "max_steps=1", "method=sft")
    settings += ("gen_length=48", "block_length=48", "denoising_steps=1")
    sweep = ("-m", "dopsd.train", "--multirun", "seed=1,2", f"hydra.sweep.dir={tmp_path / 'two'}")
    ran = command(*sweep, *settings, "trainer=ddp", *ON_TWO)
    assert ran.code == 0, ran.err
    directories = sorted((tmp_path / "two").glob("*/"))
    assert [d.name for d in directories] == ["seed=1", "seed=2"]
    assert ran.out.count("files: ") == 2
    one = tmp_path / "one"
    assert run(capsys, "train", *settings, "seed=2", f"hydra.run.dir={one}").code == 0
    [row], [expected] = rows(directories[1]), rows(one)
    assert row["train/loss"] == pytest.approx(
        expected["train/loss"], abs=1e-5
    )  # verdicts differ: ours are patched


def test_when_a_rank_is_killed_all_end_and_say_so(model: str, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    arguments = [*LONGER, model, "prompts_per_step=2", "max_steps=1000", f"hydra.run.dir={directory}"]
    arguments += ["eval_every=1000", "trainer=ddp", *ON_TWO]
    started = [sys.executable, "-m", "dopsd.train", *arguments]
    with subprocess.Popen(started, stderr=subprocess.PIPE, text=True) as process:
        while not (directory / "metrics.csv").exists():
            assert process.poll() is None
            time.sleep(0.2)
        _, last = processes("--ppid", str(process.pid))
        os.kill(last, signal.SIGKILL)
        killed = time.monotonic()
        _, err = process.communicate(timeout=60)
    assert time.monotonic() - killed < 60
    assert process.returncode == 1
    assert err.splitlines()[-1] == "dopsd: rank 1 was ended by SIGKILL"
    assert processes("-e", mentioning=str(directory)) == []


def processes(*chosen: str, mentioning: str = "") -> list[int]:
    """The ids of processes that ps lists, in the order of their start."""
    listed = subprocess.run(["ps", "-o", "pid=,args=", *chosen], capture_output=True, text=True, check=False)
    return sorted(int(line.split()[0]) for line in listed.stdout.splitlines() if mentioning in line)
