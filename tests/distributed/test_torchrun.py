"""Two processes that torchrun has started do what one does: the same tokens, loss, gradients, weights and files."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from command_line import Ran, run
from half_accepted import verdict
from on_two import LONGER, assert_same_run, command, rows

from dopsd.entry.processes import _free_port as free_port
from dopsd.task import Countdown

SCRIPT = str(Path(__file__).with_name("half_accepted.py"))
SCARCE = str(Path(__file__).parents[1] / "scarce_memory.py")


@pytest.fixture(autouse=True)
def _half_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Countdown, "verdict", verdict)


def torchrun(nodes: int, script: str, *settings: str) -> list[Ran]:
    """Two processes on the CPU, on one node, or on each of two, which are this machine twice; returns each node's."""
    here = 2 // nodes
    started = ("-m", "torch.distributed.run", f"--nnodes={nodes}", f"--nproc-per-node={here}")
    started += ("--rdzv-backend=c10d", f"--rdzv-endpoint=localhost:{free_port()}", "--local-addr=localhost")
    started += (script, *settings)
    started += ("trainer.accelerator=cpu", f"trainer.devices={here}", f"trainer.num_nodes={nodes}")
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda _: command(*started), range(nodes)))


@pytest.mark.parametrize(
    ("trainer", "nodes", "of_all", "of_two"),
    [
        ("ddp", 2, "teacher_weights=ema", ()),
        pytest.param(
            *("fsdp", 1, "teacher_weights=fixed", ("model.activation_checkpointing=true",)),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_two_train_like_one_and_a_run_goes_on_with_fewer_or_more(
    trainer: str,
    nodes: int,
    of_all: str,
    of_two: tuple[str, ...],
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    one, shared = tmp_path / "one", (*LONGER, model, "max_steps=4", "seed=1", of_all)
    ran = run(capsys, "train", *shared, "hydra.run.dir=one")
    assert ran.code == 0, ran.err
    assert {0.0, 0.5, 1.0} >= {row["rollout/accepted"] for row in rows(one)[1:]} >= {0.5}
    for ran in torchrun(nodes, SCRIPT, *shared, *of_two, f"trainer={trainer}", "paths.runs=two"):
        assert ran.code == 0, ran.err
    [two] = (tmp_path / "two").glob("*/*")
    assert_same_run(two, one)

    more = Path(shutil.copytree(one, "more"))
    assert run(capsys, "train", "resume=one", "max_steps=6").code == 0
    ran = run(capsys, "train", f"resume={two}", "max_steps=6", "trainer=cpu")
    assert ran.code == 0, ran.err
    assert_same_run(two, one)
    [ran] = torchrun(1, SCRIPT, "resume=more", "max_steps=6", f"trainer={trainer}")
    assert ran.code == 0, ran.err
    assert_same_run(more, one)


def test_a_rank_that_runs_out_of_memory_does_its_part_again(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = (*LONGER, model, "learning.learn_from=all", "micro_batch_tokens=200")
    [ran] = torchrun(1, SCARCE, *settings, "trainer=ddp", f"hydra.run.dir={tmp_path / 'two'}")
    assert ran.code == 0, ran.err
    assert ran.err.count("is now") == 1
    assert run(capsys, "train", *settings, f"hydra.run.dir={tmp_path / 'one'}").code == 0
    row, expected = rows(tmp_path / "two")[1], rows(tmp_path / "one")[1]
    assert row["train/loss"] == pytest.approx(expected["train/loss"], abs=1e-5)
    assert row["train/gradient_norm"] == pytest.approx(expected["train/gradient_norm"], rel=1e-4)


@pytest.mark.slow
def test_a_rank_of_a_divided_network_that_runs_out_of_memory_ends_all(model: str, tmp_path: Path) -> None:
    settings = (*LONGER, model, "learning.learn_from=all", "micro_batch_tokens=200")
    started = time.monotonic()
    [ran] = torchrun(1, SCARCE, *settings, "trainer=fsdp", f"hydra.run.dir={tmp_path / 'two'}")
    assert time.monotonic() - started < 60
    assert ran.code != 0
    said = [line for line in ran.err.splitlines() if line.startswith("dopsd: ")]
    assert len(said) == 1
    assert said[0].startswith("dopsd: micro_batch_tokens=200: out of memory in an update on states of ")
    assert said[0].endswith("; try micro_batch_tokens=54")
