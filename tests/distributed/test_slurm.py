"""What SLURM tells its processes: an allocation starts none of them, srun with several tasks does."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from command_line import QUICK, read_json, run
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from dopsd.job.launcher import environment, processes_started

ON_TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")
TRAINING = (*QUICK, "task.max_number=4", "task.dev=3", "task.test=3", "model.init=random", "seed=1")
TRAINING += ("learning.learn_from=all", "prompts_per_step=2")
ALLOCATION = {
    "SLURM_JOB_ID": "4711",
    "SLURM_JOB_NAME": "train",
    "SLURM_NTASKS": "1",
    "SLURM_NNODES": "1",
    "SLURM_NODELIST": "localhost",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
}


def task(number: int, of: int) -> dict[str, str]:
    """The environment that srun gives one of its tasks on one machine."""
    count = {"SLURM_NTASKS": str(of), "SLURM_NTASKS_PER_NODE": str(of), "SLURM_STEP_NUM_TASKS": str(of)}
    return {**ALLOCATION, **count, "SLURM_PROCID": str(number), "SLURM_LOCALID": str(number)}


def started(environment_of_it: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    """A training that SLURM has started."""
    return subprocess.Popen(
        [sys.executable, "-m", "dopsd.train", *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment_of_it},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code, and what was written to stderr."""
    _, err = process.communicate(timeout=100)
    return process.returncode, err


def test_tasks_of_srun_are_the_ranks_of_one_run(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = (*TRAINING, model, *ON_TWO)
    ranks = [started(task(n, of=2), *typed, f"paths.runs={tmp_path / 'two'}") for n in range(2)]
    for code, err in map(ended, ranks):
        assert code == 0, err
    assert run(capsys, "train", *TRAINING, model, f"hydra.run.dir={tmp_path / 'one'}").code == 0
    [two] = (tmp_path / "two").glob("*/*")
    ours, expected = (read_json(directory / "summary.json") for directory in (two, tmp_path / "one"))
    assert (ours["processes"], expected["processes"]) == (2, 1)
    assert [ours[key] for key in ("base", "final", "completions")] == [
        expected[key] for key in ("base", "final", "completions")
    ]


@pytest.mark.slow
def test_in_an_allocation_the_ranks_are_started_by_the_command(model: str, tmp_path: Path) -> None:
    code, err = ended(started(ALLOCATION, *TRAINING, model, *ON_TWO, f"hydra.run.dir={tmp_path / 'two'}"))
    assert code == 0, err
    assert read_json(tmp_path / "two" / "summary.json")["processes"] == 2


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (("trainer=cpu",), "trainer.devices=1: srun has started 3 processes; trainer=ddp uses them"),
        (ON_TWO, "trainer.devices=2: You set `devices=2` in Lightning, but the number of tasks per node"),
    ],
)
def test_tasks_that_a_run_does_not_use_are_a_mistake(
    typed: tuple[str, ...],
    line: str,
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in task(0, of=3).items():
        monkeypatch.setenv(name, value)
    ran = run(capsys, "train", *TRAINING, model, *typed)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert ran.err.startswith(f"dopsd: {line}")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_requeued_behind_a_runs_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in task(1, of=2).items():
        monkeypatch.setenv(name, value)
    assert processes_started() == (2, "srun")
    found = environment()
    assert (found.world_size(), found.global_rank()) == (2, 1)
    assert found.auto_requeue is False


class Elsewhere(Launcher):
    """Takes the jobs of a sweep to a machine that is not here."""

    sent: list[list[str]] = []  # noqa: RUF012

    def setup(self, *, hydra_context: object, task_function: object, config: DictConfig) -> None:
        """Needs nothing."""

    def launch(self, job_overrides: list[list[str]], initial_job_idx: int) -> list[JobReturn]:
        """Only notes them."""
        self.sent.extend(list(overrides) for overrides in job_overrides)
        return []


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(Elsewhere, "sent", [])
    name = "hydra_plugins.elsewhere.Elsewhere"
    known = {**Plugins.instance().class_name_to_class, name: Elsewhere}
    monkeypatch.setattr(Plugins.instance(), "class_name_to_class", known)
    monkeypatch.setitem(sys.modules, "hydra_plugins", ModuleType("hydra_plugins"))
    monkeypatch.setitem(sys.modules, "hydra_plugins.elsewhere", ModuleType("hydra_plugins.elsewhere"))
    monkeypatch.setattr(sys.modules["hydra_plugins.elsewhere"], "Elsewhere", Elsewhere, raising=False)
    return f"hydra.launcher._target_={name}"


def test_a_machine_without_gpus_sends_jobs_to_those_that_have_them(
    elsewhere: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = f"hydra.sweep.dir={tmp_path / 'sweep'}"
    typed = ("--multirun", *TRAINING, model, "trainer=ddp", "trainer.devices=64", "rho=0.25,0.5", where)
    typed += ("model.attention=flex_attention",)
    ran = run(capsys, "train", *typed, elsewhere)
    assert ran.code == 0, ran.err
    assert [[o for o in job if o.startswith("rho=")] for job in Elsewhere.sent] == [["rho=0.25"], ["rho=0.5"]]


def test_other_mistakes_are_found_before_anything_is_sent(
    elsewhere: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = f"hydra.sweep.dir={tmp_path / 'sweep'}"
    ran = run(capsys, "train", "--multirun", *TRAINING, model, "trainer=gpu", "rho=1.5,2", where, elsewhere)
    assert (ran.code, Elsewhere.sent) == (2, [])
    assert ran.err.startswith("dopsd: rho=1.5: must be ")
    assert list(tmp_path.iterdir()) == []
