"""One training step of diffu-GRPO, VRPO and SFT at LLaDA's vocabulary beside the straightforward way: `make bench`.

Adds `methods` to benchmarks/results/cpu.json and prints a table. Learning and sampling are measured apart: both ways
learn from the same completions, must come to the same loss and gradient norm, and each runs in a process of its own.
Memory is that of the tensors of a learning step, not of the process.
"""

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from reference import decode_one, gumbel_tokens
from reference_methods import Figures, grpo_step, sft_step, vrpo_step
from rich.console import Console
from rich.table import Table
from setup import add, in_own_process, live_memory_gb, load, wide_vocabulary
from step import timed

from dopsd.diffusion.noise import example_keys
from dopsd.method.method import Method
from dopsd.method.on_policy import OnPolicy
from dopsd.stream import Draw
from dopsd.task import Countdown, Verdict

# LLaDA's vocabulary on the embedded network; a denoising step unmasks 4 tokens.
WIDE = [
    *("task=countdown", "model.init=random", "micro_batch_tokens=512", "lora_dropout=0"),
    *("gen_length=128", "block_length=32", "denoising_steps=32"),
]
METHODS = {
    "diffu_grpo": ["prompts_per_step=2", "max_attempts=4", "inner_updates=4"],
    "vrpo": ["prompts_per_step=2", "group_size=4"],
    "sft": ["prompts_per_step=16"],
}
STRAIGHTFORWARD = {"diffu_grpo": grpo_step, "vrpo": vrpo_step, "sft": sft_step}
WAYS = ("dopsd", "reference")
RATIOS = ("speedup", "whole_speedup", "memory_ratio")
REPETITIONS = 3
TOLERANCE = 1e-3  # relative: Adam's first steps are whole ones where a gradient is mere rounding


def main() -> None:
    """Every method's learning both ways, the sampling of those that sample, and what came of it."""
    sampling = {way: in_own_process(__file__, "diffu_grpo", way, "sampling")["step_s"] for way in WAYS}
    results = {}
    for name in METHODS:
        ways = {way: in_own_process(__file__, name, way, "learning") for way in WAYS}
        results[name] = compared(ways, {} if name == "sft" else sampling)
    add("cpu", methods=results)
    show(results)


def measure(name: str, way: str, part: str) -> dict:
    """Seconds of a part of one step; of learning also what came of the first, and the memory that it needs."""
    Countdown.verdict = by_its_text
    with tempfile.TemporaryDirectory() as directory:
        path = f"model.path={wide_vocabulary(Path(directory))}"
        method, batch = load([*WIDE, f"method={name}", *METHODS[name], path])
    if part == "sampling":
        sample = sampled_singly if way == "reference" else sampled
        takes_minutes = way == "reference"
        times = [timed(partial(sample, method, batch)) for _ in range(1 if takes_minutes else REPETITIONS)]
        return {"step_s": statistics.median(times)}
    learn, figures = learning(name, way, method, batch), []
    memory = live_memory_gb(lambda: figures.append(learn()))
    method.clock.read()
    seconds = [timed(learn) for _ in range(REPETITIONS)]
    measured = {"step_s": statistics.median(seconds[1:]), "step_memory_gb": memory}
    return measured | figures[0] | {"shares": {p: s / sum(seconds) for p, s in method.clock.read().items()}}


def learning(name: str, way: str, method: Method, batch: Sequence[Draw]) -> Callable[[], Figures]:
    """A training step on completions that are sampled now, by weights that are no longer the reference's."""
    random = torch.Generator().manual_seed(0)
    for parameter in method.network.parameters():
        if parameter.requires_grad:
            parameter.data += 0.02 * torch.randn(parameter.shape, generator=random)
    rollouts = [sampled(method, batch)] if isinstance(method, OnPolicy) else []
    if way == "reference":
        return partial(STRAIGHTFORWARD[name], method, batch, *rollouts)
    method.roll_out = lambda *_, **__: rollouts[0]

    def learn() -> Figures:
        method.training_step(batch, 0)
        return {key: method.logged[f"train/{key}"] for key in ("loss", "gradient_norm")}

    return learn


def sampled(method: OnPolicy, batch: Sequence[Draw]) -> object:
    """All completions."""
    return method.roll_out(batch, method.chat.prompts(draw.example for draw in batch))


@torch.no_grad()
def sampled_singly(method: OnPolicy, batch: Sequence[Draw]) -> None:
    """As many, one after another."""
    method.network.eval()
    for draw in batch:
        prompt = torch.tensor(method.chat.encode_prompt(draw.example.prompt))
        for attempt in range(method.rollout.max_attempts):
            stream = example_keys(method.seed, [draw.number], attempt, prompt.device)
            decode_one(method, prompt, stream, gumbel_tokens)


def by_its_text(self: Countdown, example: object, response: str) -> Verdict:
    """Accepts every second text, so that groups of a random network have right and wrong answers."""
    accepted = sum(map(ord, response)) % 2 == 0
    return Verdict(accepted=accepted, score=float(accepted))


def compared(ways: dict[str, dict], sampling: dict[str, float]) -> dict:
    """Both ways side by side; raises AssertionError where they did not compute the same."""
    ours, reference = (ways[way] for way in WAYS)
    for key in ("loss", "gradient_norm"):
        assert abs(ours[key] / reference[key] - 1) < TOLERANCE, (key, ours[key], reference[key])
    found = {
        "speedup": reference["step_s"] / ours["step_s"],
        "memory_ratio": reference["step_memory_gb"] / ours["step_memory_gb"],
        **{key: {way: ways[way][key] for way in WAYS} for key in ("step_s", "step_memory_gb", "loss")},
        "shares": ours["shares"],
    }
    if sampling:
        whole = {way: sampling[way] + ways[way]["step_s"] for way in WAYS}
        found |= {"sampling_s": sampling, "whole_speedup": whole["reference"] / whole["dopsd"]}
    return found


def show(results: dict) -> None:
    """The table."""
    table = Table(title="One step at a vocabulary of 126,464")
    for column in (
        "method",
        "way",
        "s to learn",
        "faster",
        "s to sample",
        "both faster",
        "GB",
        "less memory",
    ):
        table.add_column(column)
    for name, entry in results.items():
        for way in reversed(WAYS):
            ratios = [f"{entry[key]:.1f} x" if key in entry else "" for key in RATIOS]
            faster, both, less = ratios if way == "dopsd" else ("", "", "")
            sampling = f"{entry['sampling_s'][way]:.1f}" if "sampling_s" in entry else ""
            seconds, memory = f"{entry['step_s'][way]:.2f}", f"{entry['step_memory_gb'][way]:.2f}"
            table.add_row(name, way, seconds, faster, sampling, both, memory, less)
    Console(width=110).print(table)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.stdout.write(json.dumps(measure(*sys.argv[1:])) + "\n")
    else:
        main()
