"""Every mistake ends in one line that names the key, the value and what is allowed, and leaves nothing behind."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from command_line import QUICK, run, small_model
from safetensors import safe_open

from dopsd.model import load_model, save_weights

ARMS = "fkl, jsd, rkl"
TABLE = [
    # what is typed -> what the line says
    ("rhoo=0.1", "rhoo=0.1: no such key; did you mean rho?"),
    ("divergance=fkl", f"divergance=fkl: no such key; did you mean divergence? (arms: {ARMS})"),
    ("divergence=fk", f"divergence=fk: no such arm; did you mean fkl? ({ARMS})"),
    ("teacher=none", "teacher=none: must be one of ar_prefix, suffix"),
    ("task=null", "task=null: must be one of "),
    ("teacher.regoin=masked", "teacher.regoin=masked: no such key; did you mean teacher.region?"),
    ("clip.maximum=0.1", "clip.maximum=0.1: no such key; clip has no keys (arms: "),
    ("+teacher.rgion=masked", "teacher.rgion=masked: no such key; did you mean teacher.region?"),
    ("+rhoo=0.1", "+rhoo=0.1: no such key; did you mean rho?"),
    ("+rho=0.1", "+rho=0.1: the key is there already, write rho=0.1"),
    ("--rho=0.1", "--rho=0.1: no such flag; settings are written rho=0.1"),
    ("rho=0.1,0.2", "rho=0.1,0.2: several values need --multirun"),
    ("rho=[1", "rho=[1: cannot be read as key=value"),
    ("rho=${nope}", "rho=${nope}: Interpolation key 'nope' not found"),
    ("rho=1.5", "rho=1.5: must be a number from 0 to 1"),
    ("rho=-1", "rho=-1: must be a number from 0 to 1"),
    ("rho=abc", "rho=abc: must be a number from 0 to 1"),
    ("rho=nan", "rho=nan: must be a number from 0 to 1"),
    ("rho=true", "rho=true: must be a number from 0 to 1"),
    ("rho=null", "rho=null: must be a number from 0 to 1"),
    ("teacher.retain_ratio=2", "teacher.retain_ratio=2: must be a number from 0 to 1"),
    ("max_attempts=2.5", "max_attempts=2.5: must be an integer of at least 1"),
    ("gen_length=33", "gen_length=33: must be a multiple of block_length=8"),
    ("denoising_steps=33", "denoising_steps=33: must be a multiple of the number of blocks"),
    ("denoising_steps=640", "denoising_steps=640: must be a multiple of the number of blocks"),
    ("temperature=-0.5", "temperature=-0.5: must be a number of at least 0"),
    ("max_steps=0", "max_steps=0: must be an integer of at least 1"),
    ("eval_every=0", "eval_every=0: must be an integer of at least 1"),
    ("early_stopping=0", "early_stopping=0: must be an integer of at least 1 or null"),
    ("seed=-1", "seed=-1: must be an integer of at least 0"),
    ("lr=fast", "lr=fast: must be a number above 0"),
    ("task.test=100000", "task.test=100000: these settings give at most "),
    ("states_per_trajectory=0", "states_per_trajectory=0: must be "),
    ("gradient_clip=0", "gradient_clip=0: must be a number above 0"),
    ("gradient_clip=nan", "gradient_clip=nan: must be a number above 0"),
    ("micro_batch_tokens=0", "micro_batch_tokens=0: must be "),
    ("eval_batch_tokens=0", "eval_batch_tokens=0: must be an integer of at least 1 or null"),
    ("parity.region=here", "parity.region=here: must be one of masked, later_blocks"),
    ("learning.learn_from=some", "learning.learn_from=some: must be one of accepted, all"),
    ("optimizer.betas=[0.9,1.5]", "optimizer.betas=[0.9, 1.5]: must be a list of "),
    ("task.numbers=9", "task.numbers=9: must be "),
    ("lora.targets=[nowhere]", "lora: LoRA target 'nowhere' matches no linear layer"),
    ("model.path=/nowhere", "model.path=/nowhere: no such model directory"),
    ("model.dtype=int8", "model.dtype=int8: must be one of float32, bfloat16, float16"),
    ("model.attention=flash", "model.attention=flash: must be one of sdpa, eager, flash_attention_2, flex_"),
    ("model.attention=flex_attention", "model.attention=flex_attention: needs a CUDA device; sdpa and eager"),
    ("model.attention=flash_attention_2", "model.attention=flash_attention_2: needs "),
    ("model.quantization=int3", "model.quantization=int3: must be one of nf4"),
    ("model.quantization=nf4", "model.quantization=nf4: needs init=pretrained, not random"),
    ("hydra.run.dir=/proc/nowhere", "hydra.run.dir=/proc/nowhere: must be a writable directory"),
    ("trainer.precision=12", "trainer.precision=12: must be one of "),
    ("task._target_=dopsd.task.Nothing", "task._target_=dopsd.task.Nothing: must be an importable class"),
]
ON_TWO = ("trainer.accelerator=cpu", "trainer.devices=2")
HARDWARE_TABLE = [
    *(
        (
            (f"trainer={arm}", "trainer.devices=64"),
            f"trainer.devices=64: this machine has {torch.cuda.device_count()} CUDA devices",
        )
        for arm in ("gpu", "ddp", "fsdp")
    ),
    (
        ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=4096"),
        "trainer.devices=4096: must be at most ",
    ),
    (("trainer=cpu", "trainer.devices=0"), "trainer.devices=0: must be an integer of at least 1 with "),
    (
        ("trainer=ddp", "trainer.accelerator=cpu"),
        "trainer.devices=-1: must be an integer of at least 1 with ",
    ),
    (("trainer=cpu", "trainer.devices=2"), "trainer.devices=2: several devices need trainer=ddp or "),
    (
        ("trainer=ddp", *ON_TWO, "prompts_per_step=3"),
        "prompts_per_step=3: must be a multiple of the 2 processes",
    ),
    (
        ("trainer=ddp", *ON_TWO, "prompts_per_step=1"),
        "prompts_per_step=1: must be a multiple of the 2 processes",
    ),
    (
        ("trainer=ddp", *ON_TWO, "trainer.num_nodes=2"),
        "trainer.devices=2: on 2 nodes, start the command on each",
    ),
    (("trainer=fsdp", *ON_TWO, "lora=none"), "lora=none: trainer=fsdp divides the frozen weights"),
    (("model.quantization=nf4", "lora=none"), "lora=none: model.quantization=nf4 freezes the weights"),
    (("trainer=fsdp", *ON_TWO, "teacher_weights=ema"), "teacher_weights=ema: trainer=fsdp has "),
    (
        ("trainer=fsdp", *ON_TWO, "model.quantization=nf4"),
        "model.quantization=nf4: must be null with trainer=fsdp",
    ),
    (
        ("trainer=fsdp", "trainer.accelerator=cpu", "trainer.devices=1"),
        "trainer.devices=1: trainer=fsdp divides the weights over at least 2 processes; trainer=cpu and ",
    ),
]
EVALUATION_TABLE = [
    ("rho=0.5", "rho=0.5: an evaluation does not read it"),
    ("checkpoint=nowhere", "checkpoint=nowhere: must be a run's directory"),
    ("split=tset", "split=tset: must be one of train, dev, test"),
    ("threshold=2", "threshold=2: must be "),
    ("cache=suffix", "cache=suffix: must be "),
    ("remasking=best", "remasking=best: must be one of low_confidence, entropy, margin, random"),
    ("weights=worst", "weights=worst: must be one of best, final"),
    ("resume=nowhere", "resume=nowhere: an evaluation does not read it"),
    ("gen_length=16,x", "gen_length=x: must be an integer of at least 1"),
    ("gen_length=[]", "gen_length=[]: must be an integer of at least 1, or several"),
    ("gen_length=16,33", "gen_length=33: must be a multiple of block_length=8"),
    ("denoising_steps=8,16", "denoising_steps=8,16: several values need --multirun"),
    ("eval_batch_tokens=many", "eval_batch_tokens=many: must be an integer of at least 1 or null"),
    ("samples=0", "samples=0: must be an integer of at least 1"),
    ("samples=3", "samples=3: needs a temperature above 0: at temperature=0 they would all be the same"),
    ("long_prompts=cut", "long_prompts=cut: must be one of refuse, skip"),
    ("html=3", "html=3: must be true or false or a text"),
    ("baseline=nowhere", "baseline=nowhere: must be an evaluation's or a run's directory"),
    ("compare=one", "compare=[one]: must be two evaluations, [A,B]"),
    ("compare=[one,two]", "compare=one: must be an evaluation's or a run's directory"),
]
PROBE_TABLE = [
    (
        ("probe=overlpa",),
        "probe=overlpa: no such arm; did you mean overlap? (drift, overlap, toy_verification)",
    ),
    (("probe=null",), "probe=null: must be one of drift, overlap, toy_verification"),
    (("probe.rhos=[0.1,1.5]",), "probe.rhos=[0.1, 1.5]: must be a list of a number above 0 and of at most 1"),
    (("probe.rhos=0.1",), "probe.rhos=0.1: must be a list of a number"),
    (("probe.rhos=[]",), "probe.rhos=[]: must hold at least one share"),
    (("probe.keep_revealed=maybe",), "probe.keep_revealed=maybe: must be true or false"),
    (("probe.rho=0.1",), "probe.rho=0.1: no such key; did you mean probe.rhos?"),
    (("rho=0.1",), "rho=0.1: probe=toy_verification does not read it"),
    (("probe=overlap", "lr=1"), "lr=1: probe=overlap does not read it"),
    (("probe=overlap", "rho=2"), "rho=2: must be a number from 0 to 1"),
    (
        ("probe=overlap", "objective.overlap_top_k=0"),
        "objective.overlap_top_k=0: must be an integer of at least 1",
    ),
    (
        ("probe=overlap", "probe.suffix=null", "probe.ar_prefix=null"),
        "probe: at least one of suffix and ar_prefix",
    ),
    (("checkpoint=nowhere",), "checkpoint=nowhere: must be a run's directory"),
    (("split=tset",), "split=tset: must be one of train, dev, test"),
]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("typed", "line"), TABLE, ids=[typed for typed, _ in TABLE])
def test_train(typed: str, line: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "train", model, "model.init=random", typed)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"dopsd: {line}")
    assert ran.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("typed", "line"), HARDWARE_TABLE)
def test_hardware(
    typed: tuple[str, ...], line: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = run(capsys, "train", model, "model.init=random", *typed)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"dopsd: {line}")
    assert ran.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_two_processes_are_allowed_on_one_core(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dopsd.job import hardware  # noqa: PLC0415

    monkeypatch.setattr(hardware, "cores", lambda: 1)
    on_cpu = ("trainer=ddp", "trainer.accelerator=cpu", "prompts_per_step=1")
    ran = run(capsys, "train", model, *on_cpu, "trainer.devices=2")
    assert ran.err.startswith("dopsd: prompts_per_step=1: must be a multiple of the 2 processes")
    ran = run(capsys, "train", model, *on_cpu, "trainer.devices=3")
    assert ran.err == "dopsd: trainer.devices=3: must be at most 2 (CPU cores that this process may use: 1)\n"


@pytest.mark.parametrize(("typed", "line"), EVALUATION_TABLE, ids=[typed for typed, _ in EVALUATION_TABLE])
def test_evaluate(
    typed: str, line: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = run(capsys, "evaluate", model, "model.init=random", typed)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"dopsd: {line}")
    assert ran.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("typed", "line"), PROBE_TABLE, ids=[typed[-1] for typed, _ in PROBE_TABLE])
def test_probe(
    typed: tuple[str, ...], line: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = run(capsys, "probe", model, "model.init=random", *typed)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"dopsd: {line}")
    assert ran.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("rho=0.1,1.5", "rho=1.5: must be a number from 0 to 1"),
        (
            "model.attention=sdpa,flex_attention",
            "model.attention=flex_attention: needs a CUDA device; sdpa and eager run everywhere",
        ),
    ],
)
def test_every_job_of_a_sweep_is_checked_before_the_first_starts(
    typed: str, line: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = run(capsys, "train", "-m", model, "model.init=random", typed)
    assert (ran.code, ran.out, ran.err) == (2, "", f"dopsd: {line}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_checkpoint_is_seen_before_it_is_loaded(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path_factory.mktemp("models") / "damaged"
    override = small_model(directory)
    save_weights(load_model(directory, init="random"), directory)
    weights = directory / "model.safetensors"
    with safe_open(weights, framework="pt"):
        pass
    weights.write_bytes(weights.read_bytes()[:-100])
    for flags in ((), ("--multirun",)):
        ran = run(capsys, "train", *flags, override)
        assert ran.code == 2
        assert ran.err.startswith(f"dopsd: {override}: {weights} is damaged or incomplete")
        assert ran.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_flag_between_settings_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "train", "rho=0.1", "--multirun", "seed=1,2")
    assert ran.code == 2
    assert ran.err == "dopsd: seed=1,2: settings stand all before the flags or all behind them\n"
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_never_written_over(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text("mine")
    ran = run(capsys, "train", *QUICK, model, "model.init=random", f"hydra.run.dir={tmp_path}")
    assert ran.code == 2
    assert "holds another run" in ran.err
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("config.yaml", "mine")]


def test_a_resumed_run_keeps_its_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "train", "resume=nowhere")
    assert ran.err == "dopsd: resume=nowhere: must be a run's directory (there is no config.yaml in it)\n"
    ran = run(capsys, "train", f"resume={tmp_path}", "rho=0.5")
    assert ran.err == (
        "dopsd: rho=0.5: a resumed run keeps its settings, "
        "only max_steps, micro_batch_tokens, eval_batch_size, eval_batch_tokens and trainer can be given\n"
    )


def test_a_saved_config_cannot_name_foreign_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text("command: {}\ntask:\n  _target_: os.system\n")
    ran = run(capsys, "train", f"resume={tmp_path}")
    assert ran.code == 2
    assert ran.err.startswith(
        f"dopsd: resume={tmp_path}: config.yaml names os.system, which is not part of dopsd"
    )


def test_a_teacher_that_reads_solutions_needs_them(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace  # noqa: PLC0415

    from dopsd.task import Countdown  # noqa: PLC0415

    examples = Countdown.examples
    monkeypatch.setattr(
        Countdown, "examples", lambda self, split: [replace(e, solution=None) for e in examples(self, split)]
    )
    ran = run(
        capsys,
        "train",
        model,
        "model.init=random",
        "teacher=ar_prefix",
        "task.max_number=4",
        "task.dev=4",
        "task.test=3",
    )
    assert ran.err == "dopsd: teacher=ar_prefix: needs reference solutions, which task=countdown has not\n"

    ran = run(capsys, "probe", model, "model.init=random", "probe=overlap", "task.max_number=4", "task.dev=4")
    assert ran.err.startswith(
        "dopsd: probe.ar_prefix: needs reference solutions, which task=countdown has not"
    )


@pytest.mark.parametrize("typed", ["rho=1.5", "divergence=fk"])
def test_in_a_process_of_its_own(typed: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dopsd.train", "model.init=random", typed]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=250, check=False)
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr.startswith(f"dopsd: {typed}: ")
    assert ran.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_our_own_mistakes_keep_their_traceback(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dopsd.job import Student  # noqa: PLC0415

    monkeypatch.setattr(Student, "load", lambda plan: {}["a mistake"])
    with pytest.raises(KeyError, match="a mistake"):
        run(capsys, "train", model, "model.init=random", f"hydra.run.dir={tmp_path / 'run'}")
