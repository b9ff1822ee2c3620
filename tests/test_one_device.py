"""Whatever is sampled, learnt, evaluated or probed on a GPU stays there, and comes out as on the CPU."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from command_line import SHORT, run
from pretended_gpu import GPU, pretended_gpu
from setup import load, load_student

from dopsd.diffusion.noise import example_keys
from dopsd.method.method import Method

PUZZLES = ("task.max_number=4", "task.dev=4", "task.test=3")
SMALL = ("model.init=random", *SHORT, *PUZZLES, "prompts_per_step=3", "lora_r=2")
SAMPLING = ("max_attempts=2",)  # of methods that do
STEPS = [
    ["learning.learn_from=all"],
    ["learning.learn_from=all", "threshold=0.9", "states_per_trajectory=2"],
    ["learning.learn_from=all", "cache=dual", "updates_per_rollout=2"],
    ["learning.learn_from=all", "cache=prefix", "topk=student"],
    ["learning.learn_from=all", "cfg_scale=0.5", "divergence=jsd"],
    ["learning.learn_from=all", "teacher=ar_prefix", "teacher_weights=ema"],
    ["learning.learn_from=all", "parity=code", "updates_per_rollout=1", "lora=none"],
    ["remasking=margin", "rollout.parallel_tries=2"],
    ["method=sft"],
]
ENTRIES = [
    ("evaluate", "samples=2", "temperature=1.0"),
    ("evaluate", "threshold=0.9"),
    ("evaluate", "cache=dual"),
    ("probe", "probe=toy_verification"),
    ("probe", "probe=overlap", "learning.learn_from=all"),
    ("probe", "probe=drift", "rollout.max_attempts=1"),
]


def step(model: str, overrides: list[str]) -> Method:
    sampling = () if "method=sft" in overrides else SAMPLING
    method, batch = load(["task=countdown", *SMALL, *sampling, model, *overrides])
    torch.manual_seed(0)
    method.training_step(batch, 0)
    return method


def test_devices_do_not_mix() -> None:
    with pretended_gpu():
        here, there = torch.ones(3), torch.ones(3, device=GPU)
        assert (there + 1).device == (there * torch.tensor(2.0)).device == here.to(GPU).device == GPU
        assert there.cpu().device == here.device
        with pytest.raises(RuntimeError, match="two devices"):
            here + there
        with pytest.raises(RuntimeError, match="two devices"):
            here[there.long()]
        with pytest.raises(RuntimeError, match="numpy"):
            there.numpy()


@pytest.mark.parametrize("overrides", STEPS, ids=" ".join)
def test_a_step(overrides: list[str], model: str) -> None:
    expected = step(model, overrides)
    with pretended_gpu():
        found = step(model, overrides)
        assert all(parameter.device == GPU for parameter in found.network.parameters())
    assert found.logged == expected.logged
    trained = [p for p in expected.network.parameters() if p.requires_grad]
    assert trained
    for ours, theirs in zip([p for p in found.network.parameters() if p.requires_grad], trained, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("typed", ENTRIES, ids=" ".join)
def test_an_entry(
    typed: tuple[str, ...], model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry, *overrides = typed
    always = (entry, model, "model.init=random", *SHORT, *PUZZLES, *overrides)
    ran = run(capsys, *always, f"hydra.run.dir={tmp_path}/cpu")
    assert ran.code == 0, ran.err
    with pretended_gpu():
        ran = run(capsys, *always, f"hydra.run.dir={tmp_path}/gpu")
    assert ran.code == 0, ran.err
    assert results(tmp_path / "gpu") == results(tmp_path / "cpu")


def results(directory: Path) -> dict[str, list[str]]:
    """What was measured, by file, speed left out."""
    files = [
        *directory.rglob("samples.jsonl"),
        *directory.rglob("samples/*.jsonl"),
        *directory.rglob("probe.json"),
    ]
    assert files
    lines = {str(file.relative_to(directory)): file.read_text().splitlines() for file in files}
    speed = ('"speedup"', '"wall_s"')
    return {
        file: [line for line in text if not any(key in line for key in speed)] for file, text in lines.items()
    }


def test_a_denoising_step_waits_for_the_device_once(model: str) -> None:
    waits, sent = {}, {}
    with pretended_gpu() as gpu:
        for steps in (4, 8):
            canvas = ["gen_length=8", "block_length=8", f"denoising_steps={steps}"]
            plan, student = load_student([model, "model.init=random", "lora=none", *PUZZLES, *canvas])
            prompts = student.chat.prompts(plan.task.examples("test")).to(plan.device)
            keys = example_keys(0, list(range(len(prompts))), 0, plan.device)
            gpu.waits.clear()
            gpu.sent.clear()
            sampler = replace(plan.evaluation_sampler, early_exit=False, temperature=0.9)
            sampler.sample(student.network, prompts, keys, student.chat.special)
            waits[steps], sent[steps] = gpu.waits.total(), gpu.sent.total()
    assert waits[8] - waits[4] == 4
    assert sent[8] - sent[4] == 4  # which rows leave


def test_on_a_gpu_cudnn_does_not_attend(model: str) -> None:
    torch.backends.cuda.enable_cudnn_sdp(True)
    with pretended_gpu():
        load_student([model, "model.init=random", "lora=none"])
    assert not torch.backends.cuda.cudnn_sdp_enabled()
