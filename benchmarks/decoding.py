"""What the faster ways of decoding gain and what they cost, on the embedded model and Countdown: `make bench`.

Greedy decoding of the same puzzles, exactly and in each approximate way, in turn, a few times over. Writes
benchmarks/results/decoding.json.
"""

import statistics
import time
from dataclasses import replace

import torch
from rich.console import Console
from rich.table import Table
from setup import load_student, machine, save

from dopsd.diffusion.trajectory import Trajectory
from dopsd.evaluation.differing import differing

EXAMPLES, REPETITIONS, BATCH_SIZE = 256, 3, 32
WAYS = {
    "exact": {},
    "threshold 0.9": {"threshold": 0.9},
    "prefix cache": {"cache": "prefix"},
    "dual cache": {"cache": "dual"},
}


def main() -> None:
    """Measure, save, show."""
    results = {
        "machine": machine(),
        "examples": EXAMPLES,
        "batch_size": BATCH_SIZE,
        **measured(),
    }
    save("decoding", results)
    show(results)


def measured() -> dict[str, dict[str, float]]:
    """All ways, in turn."""
    plan, student = load_student(["task=countdown", f"task.test={EXAMPLES}", "lora=none"])
    chat = student.chat
    examples = sorted(plan.task.examples("test"), key=lambda e: len(chat.encode_prompt(e.prompt)))
    prompts, keys = chat.prompts(examples), torch.zeros(len(examples), dtype=torch.int64)
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    decoded: dict[str, Trajectory] = {}
    for _ in range(REPETITIONS):
        for way, options in WAYS.items():
            sampler = replace(plan.evaluation_sampler, **options)
            start = time.perf_counter()
            decoded[way] = sampler.sample(student.network, prompts, keys, chat.special, at_once=BATCH_SIZE)
            seconds[way].append(time.perf_counter() - start)
    results = {}
    answers = {way: chat.answers(trajectory.tokens) for way, trajectory in decoded.items()}
    for way, trajectory in decoded.items():
        responses = zip(examples, chat.texts(answers[way]), strict=True)
        results[way] = {
            "accuracy": statistics.mean(plan.task.verdict(*response).accepted for response in responses),
            "forwards_an_answer": float(trajectory.steps.double().mean()),
            "samples_per_s": EXAMPLES / statistics.median(seconds[way]),
            "speedup": statistics.median(
                exact / own for exact, own in zip(seconds["exact"], seconds[way], strict=True)
            ),
            "tokens_that_differ": differing(answers[way], answers["exact"]),
        }
    return results


def show(results: dict) -> None:
    """The table."""
    table = Table(title=f"Greedy decoding of {EXAMPLES} puzzles, {results['machine']['threads']} threads")
    for column in ("way", "accuracy", "forwards/answer", "answers/s", "speed-up", "tokens that differ"):
        table.add_column(column)
    for way in WAYS:
        entry = results[way]
        table.add_row(
            way,
            f"{100 * entry['accuracy']:.1f} %",
            f"{entry['forwards_an_answer']:.1f}",
            f"{entry['samples_per_s']:.1f}",
            f"{entry['speedup']:.2f} x",
            f"{100 * entry['tokens_that_differ']:.1f} %",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
