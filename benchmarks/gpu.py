"""One d-OPSD step at LLaDA-8B's shape on one GPU beside the same step done the straightforward way: `make bench-gpu`.

Random weights in bf16, LoRA r 128 on all linear layers, prompts of 320 tokens, canvases of 128 tokens and 128 states,
of which every one is learnt from. MFU is the FLOP that the step asks for (flop.py) over its time and over the rate of
a large matrix product in the same dtype (saved as well: the rate that the GPU keeps up for two seconds). The
straightforward way is timed on one prompt, with activation checkpointing (a quarter of a trajectory does not fit
without); the shortcuts are a sample of 16 states and the dual cache: how much a confidence threshold saves depends on
how sure a model is, and random weights are not. Writes benchmarks/results/gpu.json after every part, prints a table.

    python benchmarks/gpu.py micro_batch_tokens=4096 model.compile=true     # overrides as of dopsd.train
    python benchmarks/gpu.py --shape tiny                                   # the same code in seconds, on any machine

Exit code 2 without a CUDA device, 1 where the GPU does not compute what the CPU does (agreement.py).
"""

import argparse
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from agreement import TOLERANCE, TRAINER, disagreement
from flop import Flop
from rate import matmul_tflops, waiting
from reference import reference_training_step
from rich.console import Console
from rich.table import Table
from setup import LLADA_VOCABULARY, load, machine, save, shaped
from torch.profiler import ProfilerActivity, profile

from dopsd.chat import Chat
from dopsd.diffusion.trajectory import Trajectory
from dopsd.memory import TooLargeError, peak_memory_gb
from dopsd.method.clock import Clock
from dopsd.method.dopsd import DOPSD
from dopsd.rollout import RolloutBatch
from dopsd.stream import Draw

Results = dict[str, Any]
LOSS = ("teacher", "student", "backward")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A network, a trajectory, and how large the matrix product is that gives the machine's rate."""

    network: dict[str, int]
    prompt: int
    overrides: tuple[str, ...]
    sampled_states: int
    product: int
    sustained: int


SHAPES = {
    "8b": Shape(
        network={
            **{"d_model": 4096, "n_heads": 32, "n_kv_heads": 32, "n_layers": 32, "mlp_hidden_size": 12288},
            **{"vocab_size": LLADA_VOCABULARY, "max_sequence_length": 4096},
        },
        prompt=320,
        overrides=(
            *("model=llada_8b", "gen_length=128", "block_length=32", "denoising_steps=128"),
            *("prompts_per_step=8", "micro_batch_tokens=8192"),
        ),
        sampled_states=16,
        product=8192,
        sustained=140,
    ),
    "tiny": Shape(
        network={
            **{"d_model": 32, "n_heads": 2, "n_kv_heads": 2, "n_layers": 3, "mlp_hidden_size": 64},
            **{"vocab_size": 600, "max_sequence_length": 256},
        },
        prompt=64,
        overrides=(
            *("gen_length=16", "block_length=8", "denoising_steps=16"),
            *("prompts_per_step=2", "micro_batch_tokens=512"),
        ),
        sampled_states=4,
        product=256,
        sustained=2,
    ),
}
ALWAYS = ("task=countdown", "model.init=random", "max_attempts=1", "learning.learn_from=all")


def main(arguments: Sequence[str]) -> int:
    """Checks, measures, saves, shows; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=SHAPES, default="8b")
    parser.add_argument("overrides", nargs="*", help="settings as of dopsd.train")
    given = parser.parse_args(arguments)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if given.shape == "8b" and device == "cpu":
        built = f"torch {torch.__version__}, built for CUDA {torch.version.cuda}"
        sys.stderr.write(f"make bench-gpu: needs a CUDA device, and none is here ({built})\n")
        return 2
    keep = (lambda results: save("gpu", results)) if given.shape == "8b" else (lambda results: None)
    results = {"machine": machine(), "differs_from_cpu": disagreement(device), "allowed": TOLERANCE}
    measure(SHAPES[given.shape], given.overrides, device, results, keep)
    show(results)
    agrees = {
        name: off <= TOLERANCE[name] for name, off in results["differs_from_cpu"].items()
    }  # NaN does not
    too_far = {name: off for name, off in results["differs_from_cpu"].items() if not agrees[name]}
    if too_far:
        sys.stderr.write(f"make bench-gpu: {device} and CPU differ by {too_far}, allowed are {TOLERANCE}\n")
    return 1 if too_far else 0


def measure(
    shape: Shape, overrides: Sequence[str], device: str, results: Results, keep: Callable[[Results], None]
) -> None:
    """Adds one part after the other to the results, which are kept each time."""
    torch.manual_seed(0)
    settings = [*ALWAYS, TRAINER[device], *shape.overrides, *overrides]
    results |= {"shape": asdict(shape), "settings": settings}
    with tempfile.TemporaryDirectory() as directory:
        method, batch = load([*settings, f"model.path={shaped(Path(directory), **shape.network)}"])
    batch = [with_prompt(draw, method.chat, shape.prompt) for draw in batch]
    method.clock = Clock(wait=waiting(method.device))
    product = shape.product, weight_dtype(method), method.device
    results["matmul_tflops"] = matmul_tflops(*product)
    results["sustained_matmul_tflops"] = matmul_tflops(*product, repetitions=shape.sustained)
    keep(results)
    rollouts = kept_rollouts(method)
    exact = method.rollout, method.learning
    method.rollout = replace(exact[0], sampler=replace(exact[0].sampler, cache="dual"))
    method.learning = replace(exact[1], states_per_trajectory=shape.sampled_states)
    results["first_step"] = timed(method, batch)  # loads kernels, and finds a budget that fits
    results["shortcuts"] = timed(method, batch)
    results["kernels_of_shortcuts"] = longest(lambda: method.training_step(batch[:1], 0), method.device)
    keep(results)
    method.rollout, method.learning = exact
    ours = timed(method, batch)
    if "out_of_memory" not in ours:
        width = len(method.chat.encode_prompt(batch[0].example.prompt)) + method.rollout.sampler.gen_length
        ours |= utilisation(ours, method, rollouts[-1].trajectory, width, results["matmul_tflops"])
    results["dopsd"] = ours
    keep(results)
    method.network.get_base_model().gradient_checkpointing_enable({"use_reentrant": False})
    results["reference"] = timed(method, batch[:1], lambda: reference_training_step(method, batch[:1]))
    results |= summary(results)
    keep(results)


def timed(method: DOPSD, batch: Sequence[Draw], step: Callable[[], object] | None = None) -> Results:
    """Speed, shares of time and memory of one step; where it does not fit, that is what comes out."""
    wait = waiting(method.device)
    if method.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    method.clock.read()
    wait()
    start = time.perf_counter()
    try:
        (step or (lambda: method.training_step(batch, 0)))()
    except (torch.OutOfMemoryError, TooLargeError) as error:
        return {"out_of_memory": str(error), "prompts": len(batch)}
    wait()
    seconds = time.perf_counter() - start
    parts = method.clock.read()
    return {
        "prompts": len(batch),
        "step_s": seconds,
        "trajectories_per_s": len(batch) / seconds,
        "tokens_per_s": len(batch) * method.rollout.sampler.gen_length / seconds,
        "seconds": parts,
        "shares": {part: s / seconds for part, s in parts.items()}
        | {"rest": 1 - sum(parts.values()) / seconds},
        "peak_memory_gb": peak_memory_gb(),
        "micro_batch_tokens": method.micro_batches.tokens,
        "logged": dict(method.logged) if step is None else {},
    }


def utilisation(
    measured: Results, method: DOPSD, trajectory: Trajectory, width: int, matmul_tflops: float
) -> Results:
    """The FLOP that a measured step asks for, and how near to the machine's rate its parts came."""
    sampler = method.rollout.sampler
    flop = Flop(method.network.config, method.network.peft_config["default"].r)
    states, steps = int(measured["logged"]["train/states"]), int(trajectory.steps.sum())
    adapted = weight_dtype(method) != torch.float32  # in float32 they are folded into the weights to sample
    still_masked = (sampler.block_length + sampler.unmask_counts[0]) // 2  # in the active block, on average
    needed = {
        "rollout": flop.rollout(steps, width, still_masked, adapted=adapted),
        "loss": flop.loss(states, width, sampler.block_length, sampler.unmask_counts[0]),
    }
    seconds = {"rollout": measured["seconds"]["rollout"], "loss": sum(measured["seconds"][p] for p in LOSS)}
    return {
        "pflop": {part: count / 1e15 for part, count in needed.items()},
        **{f"{part}_mfu": needed[part] / seconds[part] / (matmul_tflops * 1e12) for part in needed},
    }


def summary(results: Results) -> Results:
    """The figures to compare by; None where a way did not fit into memory."""
    rate = {way: results[way].get("trajectories_per_s") for way in ("dopsd", "shortcuts", "reference")}
    slow = rate["reference"]
    return {
        "speedup": rate["dopsd"] / slow if rate["dopsd"] and slow else None,
        "speedup_with_shortcuts": rate["shortcuts"] / slow if rate["shortcuts"] and slow else None,
        **{key: results["dopsd"].get(key) for key in ("loss_mfu", "rollout_mfu", "peak_memory_gb")},
    }


def longest(work: Callable[[], object], device: torch.device) -> list[Results]:
    """The 15 kernels (on a CPU: operators) in which the work spends most of its time."""
    on_gpu = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as profiled:
        work()
    averages = [
        {
            "name": e.key[:100],
            "calls": e.count,
            "ms": (e.self_device_time_total if on_gpu else e.self_cpu_time_total) / 1e3,
        }
        for e in profiled.key_averages()
    ]
    return sorted(averages, key=lambda e: -e["ms"])[:15]


def kept_rollouts(method: DOPSD) -> list[RolloutBatch]:
    """A list to which the method adds every rollout from now on."""
    rollouts, roll_out = [], method.roll_out

    def keeping(*given: Any) -> RolloutBatch:
        rollouts.append(roll_out(*given))
        return rollouts[-1]

    method.roll_out = keeping
    return rollouts


def with_prompt(draw: Draw, chat: Chat, tokens: int) -> Draw:
    """The draw with a prompt of its own, as long as fits into a number of tokens."""
    text = f"{draw.number}. Natalia sold clips to 48 of her friends in April, and half as many in May. " * (
        tokens // 10
    )
    length = bisect_right(range(len(text)), tokens, key=lambda end: len(chat.encode_prompt(text[:end]))) - 1
    return replace(draw, example=replace(draw.example, prompt=text[:length]))


def weight_dtype(method: DOPSD) -> torch.dtype:
    """The dtype of the frozen weights."""
    return method.network.get_base_model().lm_head.weight.dtype


def show(results: Results) -> None:
    """The table."""
    known = results["machine"]
    table = Table(
        title=f"One d-OPSD step on {known.get('gpu', known['cpu'])}, {results['matmul_tflops']:.1f} TFLOP/s"
    )
    for column in ("way", "prompts", "s", "trajectories/s", "tokens/s", "peak GB", "shares of time"):
        table.add_column(column)
    for way in ("reference", "dopsd", "shortcuts"):
        entry = results[way]
        if "out_of_memory" in entry:
            table.add_row(way, str(entry["prompts"]), "out of memory")
            continue
        shares = ", ".join(f"{part} {100 * share:.0f} %" for part, share in entry["shares"].items())
        figures = [
            f"{entry[key]:.3g}" for key in ("step_s", "trajectories_per_s", "tokens_per_s", "peak_memory_gb")
        ]
        table.add_row(way, str(entry["prompts"]), *figures, shares if way != "reference" else "")
    console = Console(width=140)
    console.print(table)
    for key in ("speedup", "speedup_with_shortcuts", "loss_mfu", "rollout_mfu"):
        console.print(f"{key}: {'not measured' if results[key] is None else f'{results[key]:.3g}'}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
