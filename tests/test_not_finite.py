"""Numbers that are not finite end a command in one line: whose, where, and which weights they come from."""

from pathlib import Path

import pytest
import torch
from command_line import QUICK, SHORT, read_json, run
from fakes import TinyNetwork, denoiser_of
from safetensors.torch import load_file, save_file

from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.sampler import BlockSampler
from dopsd.diffusion.special_tokens import SpecialTokens
from dopsd.finite import NotFiniteError
from dopsd.model import add_lora, load_model, save_weights

TASK = ("task.max_number=4", "task.dev=3", "task.test=3")


def broken(directory: Path, value: float = float("nan")) -> None:
    [file] = directory.glob("*.safetensors")
    tensors = load_file(file)
    name = sorted(tensors)[-1]
    tensors[name][0, 0] = value
    save_file(tensors, file, metadata={"format": "pt"})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("temperature", ["0.0", "0.7"])
def test_an_evaluation_of_broken_weights(
    value: float, temperature: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    llada = tmp_path / "llada"
    save_weights(load_model(model.removeprefix("model.path="), init="random"), llada)
    broken(llada, value)
    typed = (f"model.path={llada}", *TASK, *SHORT, "eval_limit=2", f"temperature={temperature}")
    ran = run(capsys, "evaluate", *typed, f"hydra.run.dir={tmp_path / 'run'}")
    assert ran.code == 2
    [line] = [line for line in ran.err.splitlines() if line.startswith("dopsd: ")]
    for words in (f"model.path={llada}", "denoising step 1 ", "1 of its tensors are not", "test"):
        assert words in line
    assert not (tmp_path / "run" / "evaluation.json").exists()


def test_a_training_from_a_broken_adapter(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = load_model(model.removeprefix("model.path="), init="random")
    save_weights(add_lora(base, r=2, alpha=4, dropout=0.0), tmp_path / "adapter")
    broken(tmp_path / "adapter")
    typed = (model, "model.init=random", f"adapter={tmp_path / 'adapter'}", *TASK)
    ran = run(capsys, "train", *typed, *QUICK[:-2], f"hydra.run.dir={tmp_path / 'run'}")
    assert ran.code == 2
    [line] = [line for line in ran.err.splitlines() if line.startswith("dopsd: ")]
    assert f"{tmp_path / 'adapter'}" in line
    assert "1 of its tensors are not" in line


def test_a_step_that_breaks_leaves_weights_and_resume_point(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loss that turns to NaN in the second step."""
    from dopsd.method.dopsd import DOPSD  # noqa: PLC0415

    true = DOPSD._losses
    calls: list[bytes] = []

    def nan_later(method, *given):
        loss, logged = true(method, *given)
        resume = tmp_path / "run" / "resume.ckpt"
        if resume.exists():
            calls.append(resume.read_bytes())
        return loss * (float("nan") if resume.exists() else 1.0), logged

    monkeypatch.setattr(DOPSD, "_losses", nan_later)
    typed = (model, "model.init=random", *TASK, *QUICK, "max_steps=3")
    ran = run(capsys, "train", *typed, f"hydra.run.dir={tmp_path / 'run'}")
    assert ran.code == 2
    [line] = [line for line in ran.err.splitlines() if line.startswith("dopsd: ")]
    assert "training step 2" in line
    assert "gradient norm is nan" in line
    assert (tmp_path / "run" / "resume.ckpt").read_bytes() == calls[0]


def test_weights_that_break_are_found_on_dev_and_the_sweep_goes_on(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A learning rate beyond all numbers: the step is finite, what it leaves is not."""
    typed = (model, "model.init=random", *TASK, *QUICK, "lr=1e30,1e-3")
    ran = run(capsys, "train", "--multirun", *typed, f"hydra.sweep.dir={tmp_path / 'sweep'}")
    assert ran.code == 2
    [line] = [line for line in ran.err.splitlines() if "the sweep goes on" in line]
    assert "dev, step 1" in line
    first, second = read_json(tmp_path / "sweep" / "sweep.json")["jobs"]
    assert (first["state"], second["state"]) == ("failed", "done")
    assert "dev, step 1" in first["note"]


@torch.no_grad()
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_the_denoising_step_is_named(value: float) -> None:
    network, calls = TinyNetwork(0), []
    sampler = BlockSampler(gen_length=12, block_length=4, denoising_steps=6)

    def logits_of(sequence, attention_mask, at):
        calls.append(len(calls))
        logits = network(sequence, attention_mask, at=at).logits()
        return logits.index_fill(-1, torch.tensor([5]), value) if len(calls) == 3 else logits

    special = SpecialTokens(mask_id=0, eos_id=1, end_ids=(1, 2))
    prompts = Prompts(tokens=torch.full((2, 3), 7), attention_mask=torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(NotFiniteError, match="denoising step 3 "):
        sampler.sample(denoiser_of(logits_of), prompts, torch.tensor([1, 2]), special)
