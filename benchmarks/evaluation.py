"""Evaluation of the embedded model on Countdown beside the reference way of decoding: `make bench`.

Both ways in one process, in turn, a few times over; the ratio is the median of the repetitions' ratios, so that
whatever else the machine does falls on both. Writes benchmarks/results/evaluation.json.
"""

import statistics
import time
from collections.abc import Callable
from typing import TypeVar

from reference_evaluation import decode_reference
from rich.console import Console
from rich.table import Table
from setup import load_student, machine, save

from dopsd.evaluation.decode import Evaluation, evaluate

T = TypeVar("T")
EXAMPLES, REPETITIONS = 256, 5
CANVASES = {"gen_length=40": [], "gen_length=80": ["gen_length=80", "denoising_steps=80"]}


def main() -> None:
    """Measure, check, save, show."""
    results = {
        "machine": machine(),
        "examples": EXAMPLES,
        **{name: measured(overrides) for name, overrides in CANVASES.items()},
    }
    save("evaluation", results)
    show(results)


def measured(overrides: list[str]) -> dict:
    """Both ways, in turn."""
    plan, student = load_student([*overrides, "task=countdown", f"task.test={EXAMPLES}", "lora=none"])
    examples = plan.task.examples("test")

    def ours(batch_size: int = plan.settings.eval_batch_size) -> Evaluation:
        return evaluate(
            student.network,
            task=plan.task,
            examples=examples,
            chat=student.chat,
            sampler=plan.evaluation_sampler,
            batch_size=batch_size,
            seed=0,
        )

    def reference() -> list[str]:
        tokens = decode_reference(student, examples, plan.evaluation_sampler)
        return student.chat.responses(tokens)

    alone = [sample.response for sample in ours(batch_size=1).samples]
    seconds: dict[str, list[float]] = {"dopsd": [], "reference": []}
    for _ in range(REPETITIONS):
        evaluation = timed(ours, seconds["dopsd"])
        answers = timed(reference, seconds["reference"])
    responses = [sample.response for sample in evaluation.samples]
    ratios = [r / d for d, r in zip(seconds["dopsd"], seconds["reference"], strict=True)]
    tokens = statistics.mean(sample.tokens for sample in evaluation.samples)
    return {
        "batch_size": plan.settings.eval_batch_size,
        "samples_per_s": {way: EXAMPLES / statistics.median(each) for way, each in seconds.items()},
        "speedup": statistics.median(ratios),
        "speedups": ratios,
        "filled": tokens / plan.evaluation_sampler.gen_length,
        "forwards_an_answer": statistics.mean(sample.forwards for sample in evaluation.samples),
        "answers_as_at_batch_1": agreement(responses, alone),
        "reference_answers_as_at_batch_1": agreement(answers, alone),
        "accuracy": evaluation.accuracy.accuracy,
    }


def timed(work: Callable[[], T], seconds: list[float]) -> T:
    """What the work returns; its seconds are noted."""
    start = time.perf_counter()
    result = work()
    seconds.append(time.perf_counter() - start)
    return result


def agreement(some: list[str], others: list[str]) -> float:
    """The share of answers that are the same, letter by letter."""
    return statistics.mean(a == b for a, b in zip(some, others, strict=True))


def show(results: dict) -> None:
    """The table."""
    table = Table(title=f"Evaluation of {EXAMPLES} puzzles, {results['machine']['threads']} threads")
    for column in ("canvas", "filled", "reference/s", "dopsd/s", "speed-up", "answers as at batch 1"):
        table.add_column(column)
    for name in CANVASES:
        entry = results[name]
        rates = [f"{entry['samples_per_s'][way]:.1f}" for way in ("reference", "dopsd")]
        filled, same = f"{100 * entry['filled']:.0f} %", f"{100 * entry['answers_as_at_batch_1']:.1f} %"
        table.add_row(name, filled, *rates, f"{entry['speedup']:.2f} x", same)
    Console().print(table)


if __name__ == "__main__":
    main()
