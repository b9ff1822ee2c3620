"""One whole d-OPSD step on this machine beside the same step done the straightforward way: `make bench`.

Writes benchmarks/results/cpu.json and prints a table. Figures of a pair are taken in one run, in turn, with the same
threads; each configuration runs in a process of its own so that its peak memory is its own.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from ddp import two_processes
from rate import matmul_tflops
from reference import reference_training_step
from rich.console import Console
from rich.table import Table
from setup import add, in_own_process, load, machine, wide_vocabulary
from torch.utils.flop_counter import FlopCounterMode

from dopsd.memory import peak_memory_gb

DEMO = ["task=countdown", "prompts_per_step=16"]
# LLaDA's vocabulary and canvas on the embedded network, every trajectory learnt from: 128 states each.
WIDE = [
    "task=countdown",
    "gen_length=128",
    "block_length=32",
    "denoising_steps=128",
    "model.init=random",
    "prompts_per_step=2",
    "max_attempts=1",
    "learning.learn_from=all",
    "micro_batch_tokens=2048",
]
# Both are approximations: experiments/shortcuts has what they cost in accuracy.
SHORTCUTS = ["states_per_trajectory=4", "threshold=0.9"]
REPETITIONS = 4
CONFIGURATIONS = {"demo": DEMO, "demo_shortcuts": [*DEMO, *SHORTCUTS], "large_vocab": WIDE}


def main() -> None:
    """Run the configurations both ways (the shortcuts beside the demo's reference) and write what came out."""
    product = 2048, torch.float32, torch.device("cpu")
    matmul = {"matmul_tflops": matmul_tflops(*product)}
    demo = {way: in_own_process(__file__, "demo", way) for way in ("dopsd", "reference")}
    short = in_own_process(__file__, "demo_shortcuts", "dopsd")
    wide = {way: in_own_process(__file__, "large_vocab", way) for way in ("dopsd", "reference")}
    results = {
        "machine": machine() | matmul,
        "demo": compared(demo) | utilisation("demo", demo, **matmul),
        "demo_shortcuts": compared({**demo, "dopsd": short}),
        "large_vocab": compared(wide) | utilisation("large_vocab", wide, **matmul),
        "shares": demo["dopsd"]["shares"],
        "ddp2": two_processes(),
    }
    add("cpu", **results)
    show(results)


def measure(configuration: str, way: str) -> dict:
    """Seconds of one step (the median of a few after a first one) and the memory it needs, in this process.

    With `flop` as the way: the FLOP of the same steps of dopsd, attention written out, since torch counts no other.
    """
    attention = ["model.attention=eager"] if way == "flop" else []
    with tempfile.TemporaryDirectory() as directory:
        path = [f"model.path={wide_vocabulary(Path(directory))}"] if configuration == "large_vocab" else []
        method, batch = load([*CONFIGURATIONS[configuration], *path, *attention])
    if way == "flop":
        with FlopCounterMode(display=False) as counted:
            for _ in range(REPETITIONS):
                method.training_step(batch, 0)
        return {"flop": counted.get_total_flops()}
    step: Callable[[], object] = {
        "dopsd": lambda: method.training_step(batch, 0),
        "reference": lambda: reference_training_step(method, batch),
    }[way]
    loaded = peak_memory_gb()
    takes_minutes = (configuration, way) == ("large_vocab", "reference")
    repetitions = 1 if takes_minutes else REPETITIONS
    seconds = [timed(step) for _ in range(repetitions)]
    measured = {
        "step_s": statistics.median(seconds[1:] or seconds),
        "prompts": len(batch),
        "peak_memory_gb": peak_memory_gb(),
        "step_memory_gb": peak_memory_gb() - loaded,
    }
    if way == "dopsd":
        clock, whole = method.clock.read(), sum(seconds)
        measured |= {"seconds": whole, "tokens": len(batch) * method.rollout.sampler.gen_length}
        measured["shares"] = {part: s / whole for part, s in clock.items()}
        measured["shares"]["rest"] = 1 - sum(measured["shares"].values())
    return measured


def utilisation(configuration: str, measured: dict[str, dict], *, matmul_tflops: float) -> dict:
    """How near dopsd's steps come to the rate of a matrix product; logits that are computed twice count twice."""
    ours, flop = measured["dopsd"], in_own_process(__file__, configuration, "flop")["flop"]
    return {
        "tokens_per_s": ours["tokens"] / ours["step_s"],
        "mfu": flop / ours["seconds"] / (matmul_tflops * 1e12),
    }


def timed(step: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def compared(measured: dict[str, dict]) -> dict:
    """Both ways side by side."""
    ours, reference = measured["dopsd"], measured["reference"]
    return {
        "speedup": reference["step_s"] / ours["step_s"],
        "memory_ratio": reference["step_memory_gb"] / ours["step_memory_gb"],
        "trajectories_per_s": {way: m["prompts"] / m["step_s"] for way, m in measured.items()},
        "step_memory_gb": {way: m["step_memory_gb"] for way, m in measured.items()},
        "peak_memory_gb": {way: m["peak_memory_gb"] for way, m in measured.items()},
    }


def show(results: dict) -> None:
    """The table."""
    table = Table(title=f"One d-OPSD step, {results['machine']['threads']} threads")
    for column in (
        "configuration",
        "way",
        "prompts/s",
        "speed-up",
        "GB for the step",
        "less memory",
        "GB in all",
    ):
        table.add_column(column)
    for name in CONFIGURATIONS:
        entry = results[name]
        for way in ("dopsd",) if name == "demo_shortcuts" else ("reference", "dopsd"):
            ratios = [f"{entry[key]:.1f} x" for key in ("speedup", "memory_ratio")]
            speedup, memory_ratio = ratios if way == "dopsd" else ("", "")
            rate, needed, peak = (
                f"{entry[key][way]:.2f}" for key in ("trajectories_per_s", "step_memory_gb", "peak_memory_gb")
            )
            table.add_row(name, way, rate, speedup, needed, memory_ratio, peak)
    Console(width=110).print(table)
    shares = ", ".join(f"{part} {100 * share:.0f} %" for part, share in results["shares"].items())
    Console().print(f"shares of a demo step: {shares}")
    for name in ("demo", "large_vocab"):
        tokens, mfu = (results[name][key] for key in ("tokens_per_s", "mfu"))
        Console().print(f"{name}: {tokens:.0f} tokens/s, MFU {100 * mfu:.0f} %")
    Console().print(f"two processes: {100 * results['ddp2']['efficiency']:.0f} % of one with as many threads")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.stdout.write(json.dumps(measure(*sys.argv[1:])) + "\n")
    else:
        main()
