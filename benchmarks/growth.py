"""How the cost of a d-OPSD step grows with prompts, states, length and vocabulary: `make growth` (about ten minutes).

The embedded network with random weights on the CPU; one thing is varied at a time, from one base point, and every point
runs in a process of its own so that its peak memory is its own. Trajectories take all their steps, and every state
is learnt from. Writes benchmarks/results/growth.json and growth.png.
"""

import json
import math
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from setup import LLADA_VOCABULARY, RESULTS, in_own_process, load, machine, save, shaped
from torch import nn

from dopsd.figure import entitle, plain
from dopsd.memory import peak_memory_gb
from dopsd.method.dopsd import DOPSD

BASE = {"prompts": 2, "states": 16, "length": 128, "vocabulary": 512}
AXES = {
    "prompts": (1, 2, 4, 8, 16, 32, 64),
    "states": (16, 32, 64, 128),
    "length": (128, 256, 512),
    "vocabulary": (64, 512, 4096, 32768, LLADA_VOCABULARY),
}
ALWAYS = ("model.init=random", "block_length=32", "max_attempts=1", "learning.learn_from=all")
REPETITIONS, ENOUGH_S = 3, 10.0
Point = dict[str, int]
WayMeasurement = dict[str, Any]


def main() -> None:
    """Every point once, then what came of it."""
    known: dict[str, WayMeasurement] = {}
    axes = {}
    for axis, values in AXES.items():
        points = [BASE | {axis: value} for value in values]
        axes[axis] = [{axis: point[axis], **taken_once(point, known)} for point in points]
    results = {"machine": machine(), "base": BASE, "axes": axes, "exponents": exponents(axes)}
    save("growth", results)
    draw(results)
    show(results)


def measure(point: Point) -> WayMeasurement:
    """Seconds of a step (the median of a few after a first one), its shares, and the memory that it needs."""
    with tempfile.TemporaryDirectory() as directory:
        path = shaped(Path(directory), vocab_size=BASE["vocabulary"], max_sequence_length=1024)
        method, batch = load([*overrides(point), f"model.path={path}"])
    give_vocabulary(method, point["vocabulary"])
    loaded, seconds = peak_memory_gb(), []
    while len(seconds) <= REPETITIONS and sum(seconds) < ENOUGH_S:
        method.clock.read()
        start = time.perf_counter()
        method.training_step(batch, 0)
        seconds.append(time.perf_counter() - start)
    parts = method.clock.read()
    return {
        "step_s": statistics.median(seconds[1:] or seconds),
        "steps": len(seconds),
        "shares": {part: s / seconds[-1] for part, s in parts.items()},
        "step_memory_gb": peak_memory_gb() - loaded,
    }


def overrides(point: Point) -> list[str]:
    """The point as settings of dopsd.train."""
    return [
        *("task=countdown", *ALWAYS, "rollout.sampler.early_exit=false", "teacher.retain_ratio=0.0"),
        *(f"prompts_per_step={point['prompts']}", f"denoising_steps={point['states']}"),
        f"gen_length={point['length']}",
    ]


def give_vocabulary(method: DOPSD, vocabulary: int) -> None:
    """Another embedding and head, and prompts of ids below the vocabulary: it may be smaller than the tokenizer's."""
    network = method.network.get_base_model()
    width = network.config.d_model
    network.model.embed_tokens = nn.Embedding(vocabulary, width).requires_grad_(False)
    network.lm_head = nn.Linear(width, vocabulary, bias=False).requires_grad_(False)
    method.chat = replace(method.chat, tokenizer=Folded(method.chat.tokenizer, vocabulary))


class Folded:
    """A tokenizer whose ids are folded into a vocabulary."""

    def __init__(self, tokenizer: Any, vocabulary: int):
        self._tokenizer, self._vocabulary = tokenizer, vocabulary
        self.batch_decode = tokenizer.batch_decode

    def apply_chat_template(self, *turns: Any, **options: Any) -> list[int]:
        """The ids of a prompt."""
        return [id_ % self._vocabulary for id_ in self._tokenizer.apply_chat_template(*turns, **options)]


def taken_once(point: Point, known: dict[str, WayMeasurement]) -> WayMeasurement:
    """The measurement of a point; the base point stands on every axis."""
    text = json.dumps(point)
    if text not in known:
        known[text] = in_own_process(__file__, text)
    return known[text]


def exponents(axes: dict[str, list[WayMeasurement]]) -> dict[str, dict[str, float]]:
    """The power of the quantity with which the cost grows, over the second half of each axis."""
    found = {}
    for axis, points in axes.items():
        first, last = points[(len(points) - 1) // 2], points[-1]
        factor = math.log(last[axis] / first[axis])
        found[axis] = {
            cost: math.log(last[cost] / first[cost]) / factor for cost in ("step_s", "step_memory_gb")
        }
    return found


def draw(results: dict) -> None:
    """Seconds above, memory below, an axis a column, both logarithmic, with a line for `in proportion`."""
    figure = Figure(figsize=(12, 6), layout="constrained")
    grid = figure.subplots(2, len(AXES), sharey="row")
    rows = (("step_s", "seconds a step"), ("step_memory_gb", "GB for a step"))
    for (cost, label), row in zip(rows, grid, strict=True):
        for axis, axes in zip(AXES, row, strict=True):
            points = results["axes"][axis]
            values, costs = [p[axis] for p in points], [p[cost] for p in points]
            base = next(p for p in points if p[axis] == BASE[axis])
            line = [base[cost] * value / BASE[axis] for value in values]
            axes.loglog(values, line, color="#bbbbbb", linestyle="--", linewidth=1, label="in proportion")
            axes.loglog(values, costs, color="#1f4e79", marker="o", markersize=4, label="measured")
            axes.set_xticks(values, [str(value) for value in values], fontsize=8)
            axes.minorticks_off()
            axes.set_xlabel(axis)
        row[0].set_ylabel(label)
        row[0].set_ylim(min(p[cost] for points in results["axes"].values() for p in points) / 1.5)
    grid[0][0].legend(frameon=False, fontsize=8)
    plain(*grid.flat)
    entitle(grid[0][0], f"One step of the embedded network, threads: {results['machine']['threads']}")
    figure.savefig(RESULTS / "growth.png", dpi=150)


def show(results: dict) -> None:
    """The table."""
    base = ", ".join(f"{value} {axis}" for axis, value in BASE.items())
    table = Table(title=f"One d-OPSD step from the base point: {base}")
    for column in ("axis", "value", "s", "x base", "GB", "shares of time"):
        table.add_column(column)
    for axis, points in results["axes"].items():
        at_base = next(point["step_s"] for point in points if point[axis] == BASE[axis])
        for point in points:
            shares = ", ".join(f"{part} {100 * share:.0f} %" for part, share in point["shares"].items())
            ratio = f"{point['step_s'] / at_base:.2f}"
            costs = f"{point['step_s']:.2f}", ratio, f"{point['step_memory_gb']:.2f}"
            table.add_row(axis, str(point[axis]), *costs, shares)
        table.add_section()
    console = Console(width=130)
    console.print(table)
    for axis, powers in results["exponents"].items():
        console.print(f"{axis}: time ^{powers['step_s']:.2f}, memory ^{powers['step_memory_gb']:.2f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.stdout.write(json.dumps(measure(json.loads(sys.argv[1]))) + "\n")
    else:
        main()
