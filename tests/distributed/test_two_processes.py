"""Two processes that a command starts for itself: sweeps, evaluations, and what happens when one of them is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import run
from on_two import LONGER, OF_EVERY_METHOD, ON_TWO, assert_same_run, command

BOTH = "trainer=ddp,fsdp"


@pytest.mark.slow
def test_a_sweep_has_one_directory_a_job_and_its_jobs_come_one_after_the_other(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = (
        *OF_EVERY_METHOD,
        model,
        "method=sft",
        "gen_length=48",
        "block_length=48",
        "denoising_steps=1",
    )
    sweep = ("-m", "dopsd.train", "--multirun", BOTH, f"hydra.sweep.dir={tmp_path / 'two'}")
    ran = command(*sweep, *settings, *ON_TWO)
    assert ran.code == 0, ran.err
    assert ran.out.count("files: ") == 3  # of each job, and of the sweep
    assert run(capsys, "train", *settings, f"hydra.run.dir={tmp_path / 'one'}").code == 0
    jobs = sorted((tmp_path / "two").glob("trainer=*/"))
    assert [job.name for job in jobs] == ["trainer=ddp", "trainer=fsdp"]
    for job, strategy in zip(jobs, ("Replicas", "Shards"), strict=True):
        assert f"_target_: dopsd.job.hardware.{strategy}\n" in (job / "config.yaml").read_text()
        assert_same_run(job, tmp_path / "one")


@pytest.mark.parametrize("trainer", ["ddp", pytest.param("fsdp", marks=pytest.mark.slow)])
def test_an_evaluation_gives_the_answers_of_one_process(
    trainer: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = (*LONGER, model, "learning.learn_from=all", "lr=0.1", "max_steps=2", "eval_every=1")
    assert run(capsys, "train", *settings, f"hydra.run.dir={tmp_path / 'run'}").code == 0
    of_run = (f"checkpoint={tmp_path / 'run' / 'weights'}", "eval_batch_size=2")
    assert run(capsys, "evaluate", *of_run, f"hydra.run.dir={tmp_path / 'one'}").code == 0
    sweep = ("-m", "dopsd.evaluate", "--multirun", f"trainer={trainer}", "seed=1,2")
    ran = command(*sweep, *of_run, *ON_TWO, f"hydra.sweep.dir={tmp_path / 'two'}")
    assert ran.code == 0, ran.err
    best, final = (tmp_path / "one" / which / "samples.jsonl" for which in ("best", "final"))
    assert best.read_text() != final.read_text()
    for job in ("seed=1", "seed=2"):
        for expected in (best, final):
            found = tmp_path / "two" / job / expected.relative_to(tmp_path / "one")
            assert found.read_text() == expected.read_text()


@pytest.mark.parametrize("trainer", ["trainer=ddp", pytest.param("trainer=fsdp", marks=pytest.mark.slow)])
def test_when_a_rank_is_killed_all_end_and_say_so(trainer: str, model: str, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    arguments = [*LONGER, model, "max_steps=1000", f"hydra.run.dir={directory}"]
    arguments += ["eval_every=1000", trainer, *ON_TWO]
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
