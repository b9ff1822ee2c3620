"""Every kind of mistake ends in one line naming the key, the value and what is allowed, and leaves nothing behind."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
import torch
from command_line import QUICK, run, small_model

from dopsd.model import load_model, save_weights
from dopsd.task import Countdown

ON_TWO = ("trainer.accelerator=cpu", "trainer.devices=2")
TRAIN = [
    # keys that are not there, or not to be changed like this
    ("rhoo=0.1", "rhoo=0.1: no such key; did you mean rho?"),
    ("foo=1", "foo=1: no such key; --help lists what there is"),
    ("retain_ratio=1", "retain_ratio=1: no such key; did you mean teacher.retain_ratio?"),
    ("teacher.regoin=masked", "teacher.regoin=masked: no such key; did you mean teacher.region? (arms: ar_"),
    ("task.blanks=3", "task.blanks=3: no such key; there are task."),  # Sudoku's; the task is Countdown
    ("clip.maximum=0.1", "clip.maximum=0.1: no such key; clip has no keys (arms: "),
    ("+teacher.rgion=masked", "teacher.rgion=masked: no such key; did you mean teacher.region?"),
    ("+foo=1", "+foo=1: no such key; --help lists what there is"),
    ("+rho=0.1", "+rho=0.1: the key is there already, write rho=0.1"),
    ("~rho", "~rho: a key cannot be deleted, only changed"),
    ("+clip@foo=none", "+clip@foo=none: an arm cannot be moved, it is written clip=arm"),
    ("learning=3", "learning=3: is set by its keys (learning.learn_from, "),
    ("rollout.sampler=3", "rollout.sampler=3: is set by its keys (rollout.sampler.gen_length, "),
    ("hydra.job.chdir=maybe", "hydra.job.chdir=maybe: Value 'maybe' is not a valid bool"),
    # arms
    ("divergance=fkl", "divergance=fkl: no such key; did you mean divergence? (arms: fkl, jsd, rkl)"),
    ("experiment=table5", "experiment=table5: no such arm; did you mean table5_divergence? (collapse, "),
    ("divergence=fk", "divergence=fk: no such arm; did you mean fkl? (fkl, jsd, rkl)"),
    ("clip=0.05", "clip=0.05: must be one of none, nonnegative, pointwise, token"),
    ("logger=false", "logger=false: must be one of csv, tensorboard, wandb"),
    ("teacher=none", "teacher=none: must be one of ar_prefix, later_state, suffix"),
    ("model=/a/b", "model=/a/b: no such arm; there are d3llm_llada, dream_7b, llada_1_5, "),
    ("hydra/launcher=1", "hydra/launcher=1: must be the name of an arm"),
    # spelling and flags
    ("rho=[1", "rho=[1: cannot be read as key=value"),
    ("rho", "rho: cannot be read as key=value"),
    ("=1", "=1: cannot be read as key=value"),
    ("rho=0.1,0.2", "rho=0.1,0.2: several values need --multirun"),
    ("--rho=0.1", "--rho=0.1: no such flag; settings are written rho=0.1"),
    ("--cfg", "argument --cfg/-c: expected one argument"),
    ("--config-name=evaluate", "--config-name evaluate: dopsd.train has the config train"),
    ("--package=x", "--package x: needs --cfg"),
    ("--resolve", "The --resolve flag can only be used in conjunction with --cfg or --help"),
    # values
    ("rho=", "rho=: must be a number from 0 to 1"),
    ("rho=nan", "rho=nan: must be a number from 0 to 1"),
    ("rho=true", "rho=true: must be a number from 0 to 1"),
    ("rho=${nope}", "rho=${nope}: Interpolation key 'nope' not found"),
    ("rho=${rho}", "rho=${rho}: Recursive interpolation detected"),
    ("teacher.retain_ratio=2", "teacher.retain_ratio=2: must be a number from 0 to 1"),
    ("threshold=2", "threshold=2: must be a number above 0 and of at most 1 or null"),
    ("rollout.sampler.threshold=2", "rollout.sampler.threshold=2: must be a number above 0 and of at most 1"),
    ("max_attempts=2.5", "max_attempts=2.5: must be an integer of at least 1"),
    ("early_stopping=0", "early_stopping=0: must be an integer of at least 1 or null"),
    ("stop_at.completions=0", "stop_at.completions=0: must be a number of at least 1 or null"),
    ("stop_at.completion=9", "stop_at.completion=9: no such key; did you mean stop_at.completions?"),
    ("curve_over=steps", "curve_over=steps: must be one of completions, denoising_forwards, "),
    ("seed=99999999999999999999", "seed=99999999999999999999: must be an integer of at least 0 and below "),
    ("optimizer.betas=[0.9,1.5]", "optimizer.betas=[0.9, 1.5]: must be a list of "),
    ("gen_length=33", "gen_length=33: must be a multiple of block_length=8"),
    ("task.test=100000", "task.test=100000: these settings give at most "),
    ("lora.targets=[nowhere]", "lora: LoRA target 'nowhere' matches no linear layer"),
    ("model.attention=flex_attention", "model.attention=flex_attention: needs a CUDA device; sdpa and eager"),
    ("model.quantization=nf4", "model.quantization=nf4: needs init=pretrained, not random"),
    ("task._target_=dopsd.task.Nothing", "task._target_=dopsd.task.Nothing: must be an importable class"),
    (
        "method._target_=builtins.dict",
        "method._target_=builtins.dict: must be an importable class or function",
    ),
    # paths
    ("model.path=/no where,(", "model.path=/no where,(: no such model directory"),
    ("model.path=", "model.path=: must be a path"),
    ("name=..", "name=..: must be a text without .."),
    ("hydra.run.dir=/proc/nowhere", "hydra.run.dir=/proc/nowhere: must be a writable directory"),
    ("resume=no,where", "resume=no,where: must be a run's directory (there is no config.yaml in it)"),
    ("-m seed=range(1,1)", "--multirun: there is nothing in seed=range(1,1)"),
    ("-m rho=1.5,2", "rho=1.5: must be a number from 0 to 1"),
    ("-m clip=none,0.05", "clip=none,0.05: must be one of none, nonnegative, pointwise, token"),
    # tasks from files
    ("task=jsonl", "task.path=null: must be a "),
    ("task=jsonl task.path=no.jsonl task.verifier=os.getcwd", "task.path=no.jsonl: must be a file, or a "),
    ("task=arithmetic task.operations=x", "task.operations=x: must be some of the characters +-*/"),
    # pairs
    ("method=vrpo group_size=1", "group_size=1: must be at least 2 with pairs.compare=accepted"),
    ("method=vrpo parity.keep=first", "parity.keep=first: must be all with method=vrpo, which learns from "),
    (
        "method=vrpo temperature=0",
        "temperature=0: all 8 tries of a prompt would be the same; needs group_size=1",
    ),
    ("method=vrpo pairs=files", "pairs.path=null: must be a text"),
    (
        "method=vrpo pairs=files pairs.path=no.jsonl",
        "pairs.path=no.jsonl: no.jsonl: cannot be read (No such file",
    ),
    (
        "method=vrpo pairs=solution_vs_refused likelihood=trajectory",
        "likelihood=trajectory: needs answers that were all sampled here (pairs=rollouts)",
    ),
    (
        "method=vrpo likelihood=mean_field log_score_variance=true",
        "log_score_variance=true: needs likelihood=elbo with likelihood.samples of at least 2",
    ),
    # hardware
    (
        "trainer=gpu trainer.devices=64",
        f"trainer.devices=64: this machine has {torch.cuda.device_count()} CUDA",
    ),
    ("trainer=ddp trainer.accelerator=cpu trainer.devices=4096", "trainer.devices=4096: must be at most "),
    ("trainer.devices=0", "trainer.devices=0: must be an integer of at least 1 with "),
    ("trainer.devices=2", "trainer.devices=2: several devices need trainer=ddp or "),
    (
        " ".join(("trainer=ddp", *ON_TWO, "prompts_per_step=3")),
        "prompts_per_step=3: must be a multiple of the 2",
    ),
    (" ".join(("trainer=ddp", *ON_TWO, "trainer.num_nodes=2")), "trainer.devices=2: on 2 nodes, start the "),
    (" ".join(("trainer=fsdp", *ON_TWO, "lora=none")), "lora=none: trainer=fsdp divides the frozen weights"),
    (" ".join(("trainer=fsdp", *ON_TWO, "teacher_weights=ema")), "teacher_weights=ema: trainer=fsdp has "),
    (
        "trainer=fsdp trainer.accelerator=cpu trainer.devices=1",
        "trainer.devices=1: trainer=fsdp divides the ",
    ),
    ("model.quantization=nf4 lora=none", "lora=none: model.quantization=nf4 freezes the weights"),
]
EVALUATE = [
    ("rho=0.5", "rho=0.5: an evaluation does not read it"),
    ("rhoo=0.5", "rhoo=0.5: no such key; --help lists what there is"),  # no hint at a key that is not read
    ("evaluation_sampler=null", "evaluation_sampler=null: is set by its keys (evaluation_sampler."),
    ("checkpoint=no=where", "checkpoint=no=where: must be a run's directory, or one with runs in it"),
    ("split=tset", "split=tset: must be one of train, dev, test"),
    ("remasking=best", "remasking=best: must be one of low_confidence, entropy, margin, random"),
    ("gen_length=16,x", "gen_length=x: must be an integer of at least 1"),
    ("gen_length=[]", "gen_length=[]: must be an integer of at least 1, or several"),
    ("samples=3", "samples=3: needs a temperature above 0: at temperature=0 they would all be the same"),
    ("html=/proc/x/y.html", "html=/proc/x/y.html: must be a file in a writable directory"),
    ("html=..", "html=..: must be true, or a file and no directory"),
    ("baseline=nowhere", "baseline=nowhere: must be an evaluation's or a run's directory"),
    ("compare=one", "compare=one: must be an evaluation's or a run's directory"),
    ("compare=[one,two]", "compare=one: must be an evaluation's or a run's directory"),
]
PROBE = [
    ("probe=null", "probe=null: must be one of drift, overlap, toy_verification"),
    ("probe.rhos=[0.1,1.5]", "probe.rhos=[0.1, 1.5]: must be a list of a number above 0 and of at most 1"),
    ("probe.rhos=[]", "probe.rhos=[]: must hold at least one share"),
    ("probe.rho=0.1", "probe.rho=0.1: no such key; did you mean probe.rhos?"),
    ("rho=0.1", "rho=0.1: probe=toy_verification does not read it"),
    ("probe=overlap probe.suffix=null probe.ar_prefix=null", "probe: at least one of suffix and ar_prefix"),
    ("checkpoint=nowhere", "checkpoint=nowhere: must be a run's directory"),
]
TABLE = [
    (entry, *row)
    for entry, rows in (("train", TRAIN), ("evaluate", EVALUATE), ("probe", PROBE))
    for row in rows
]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refused(capsys: pytest.CaptureFixture[str], entry: str, *arguments: str) -> str:
    """The one line of a command that ends in one."""
    ran = run(capsys, entry, *arguments)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), ran.err
    return ran.err.removeprefix("dopsd: ").rstrip("\n")


@pytest.mark.parametrize(("entry", "typed", "line"), TABLE, ids=[f"{row[0]} {row[1]}" for row in TABLE])
def test_a_mistake_is_one_line(
    entry: str, typed: str, line: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [typed] if typed.startswith("model.path=") else typed.split()
    given = (() if typed.startswith(("model.path=", "resume=")) else (model,)) + ("model.init=random",)
    assert refused(capsys, entry, *(given if "resume=" not in typed else ()), *words).startswith(line)
    assert list(tmp_path.iterdir()) == []


TORN = {
    "config.yaml": {
        "truncated": (b"command: {arms: {}, over", "config.yaml cannot be read ("),
        "binary": (b"\x00\xff", "config.yaml cannot be read ("),
        "code": (b"a: !!python/object/apply:os.system [ls]\n", "config.yaml cannot be read ("),
        "empty": (b"", "config.yaml is not that of a run"),
        "another": (b"command: 3\n", "config.yaml is not that of a run"),
    },
    "resume.ckpt": {
        "truncated": (None, "resume.ckpt is torn or no resume point ("),
        "empty": (b"", "resume.ckpt is torn or no resume point ("),
        "another": (b"hello", "resume.ckpt is torn or no resume point ("),
    },
}


@pytest.fixture(scope="module")
def finished(model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps."""
    directory = tmp_path_factory.mktemp("runs") / "run"
    where = f"hydra.run.dir={directory}"
    arguments = (
        "task.max_number=4",
        "task.dev=2",
        "task.test=2",
        "model.init=random",
        model,
        "max_steps=2",
        where,
    )
    command = [sys.executable, "-m", "dopsd.train", *QUICK, *arguments]
    subprocess.run(command, check=True, capture_output=True, timeout=250)
    return directory


@contextmanager
def torn(file: Path, content: bytes | None) -> Iterator[None]:
    """The file with another content (None: with the first half of its own)."""
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if content is None else content)
    try:
        yield
    finally:
        file.write_bytes(whole)


@pytest.mark.parametrize(("name", "how"), [(name, how) for name, kinds in TORN.items() for how in kinds])
def test_a_torn_file_of_a_run_is_one_line(
    name: str, how: str, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, line = TORN[name][how]
    with torn(finished / name, content):
        assert refused(capsys, "train", f"resume={finished}").startswith(f"resume={finished}: {line}")
        if name == "config.yaml":
            assert refused(capsys, "evaluate", f"checkpoint={finished}").startswith(
                f"checkpoint={finished}: {line}"
            )


def test_a_torn_adapter_is_one_line(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with torn(finished / "weights" / "best" / "adapter_model.safetensors", None):
        ran = run(capsys, "evaluate", f"checkpoint={finished}", "hydra.run.dir=there")
    assert ran.code == 2
    assert "cannot read the adapter in " in ran.err.splitlines()[-1]


def test_a_run_is_not_resumed_to_fewer_steps_than_it_has_done(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (finished / "config.yaml").read_text()
    line = "max_steps=1: the run has done 2 steps, must be at least 2"
    assert refused(capsys, "train", f"resume={finished}", "max_steps=1") == line
    assert (finished / "config.yaml").read_text() == before
    free = "only max_steps, stop_at, micro_batch_tokens, eval_batch_size, eval_batch_tokens and trainer can be given"
    line = f"rho=0.5: a resumed run keeps its settings, {free}"
    assert refused(capsys, "train", f"resume={finished}", "rho=0.5") == line


def test_a_saved_config_cannot_name_foreign_code(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign = (finished / "config.yaml").read_bytes().replace(b"dopsd.task.Countdown", b"os.system")
    with torn(finished / "config.yaml", foreign):
        line = f"resume={finished}: config.yaml names os.system, which is not part of dopsd"
        assert refused(capsys, "train", f"resume={finished}").startswith(line)


@pytest.mark.parametrize("name", ["config.yaml", "metrics.csv", "resume.ckpt", "summary.json", "curve.png"])
def test_a_full_disk_is_one_line_and_leaves_no_part(
    name: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    move = os.replace

    def full(part: Path, file: Path) -> None:
        if Path(file).name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        move(part, file)

    arguments = ("task.max_number=4", "task.dev=2", "task.test=2", "model.init=random", "hydra.run.dir=run")
    with mock.patch("os.replace", full):
        ran = run(capsys, "train", *QUICK, model, *arguments)
    assert ran.code == 2
    assert (
        ran.err.splitlines()[-1]
        == f"dopsd: {tmp_path}/run/{name}: cannot be written (No space left on device)"
    )
    assert not [file for file in tmp_path.rglob("*") if file.name.endswith(".part")]


def test_a_truncated_checkpoint_is_seen_before_it_is_loaded(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path_factory.mktemp("models") / "damaged"
    override = small_model(directory)
    save_weights(load_model(directory, init="random"), directory)
    weights = directory / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    for flags in ((), ("--multirun",)):
        line = refused(capsys, "train", *flags, override)
        assert line.startswith(f"{override}: {weights} is damaged or incomplete")
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_never_written_over(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text("mine")
    ran = run(capsys, "train", *QUICK, model, "model.init=random", f"hydra.run.dir={tmp_path}")
    assert ran.code == 2
    assert "holds another run" in ran.err
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("config.yaml", "mine")]


def test_two_processes_are_allowed_on_one_core(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dopsd.job import hardware  # noqa: PLC0415

    monkeypatch.setattr(hardware, "cores", lambda: 1)
    on_cpu = ("train", model, "trainer=ddp", "trainer.accelerator=cpu", "prompts_per_step=1")
    line = refused(capsys, *on_cpu, "trainer.devices=2")
    assert line.startswith("prompts_per_step=1: must be a multiple of the 2 processes")
    line = refused(capsys, *on_cpu, "trainer.devices=3")
    assert line == "trainer.devices=3: must be at most 2 (CPU cores that this process may use: 1)"


def test_a_teacher_that_reads_solutions_needs_them(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = Countdown.examples
    without = lambda self, split: [replace(it, solution=None) for it in examples(self, split)]  # noqa: E731
    monkeypatch.setattr(Countdown, "examples", without)
    small = (model, "model.init=random", "task.max_number=4", "task.dev=4", "task.test=3")
    needs = "needs reference solutions, which task=countdown has not"
    assert refused(capsys, "train", *small, "teacher=ar_prefix") == f"teacher=ar_prefix: {needs}"
    line = refused(capsys, "train", *small, "method=vrpo", "pairs=solution_vs_refused")
    assert line == f"pairs.compare=solution: {needs}"
    assert refused(capsys, "probe", *small, "probe=overlap").startswith(f"probe.ar_prefix: {needs}")


@pytest.mark.parametrize("module", ["dopsd.train", "dopsd.grade"])
def test_in_a_process_of_its_own(module: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", module, "foo=1"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=250, check=False)
    line = "dopsd: foo=1: no such key; --help lists what there is\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", line)
    assert list(tmp_path.iterdir()) == []


def test_our_own_mistakes_keep_their_traceback(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dopsd.job import Plan, Student  # noqa: PLC0415

    for owner, name in ((Student, "load"), (Plan, "of")):  # in the job, and while it is checked
        monkeypatch.setattr(owner, name, lambda *_, **__: {}["a mistake"])
        with pytest.raises(KeyError, match="a mistake"):
            run(capsys, "train", model, "model.init=random", f"hydra.run.dir={tmp_path / 'run'}")
