"""What the faster ways of decoding gain and what they cost, on the embedded model and Countdown: `make bench`.

Greedy decoding of the same puzzles, exactly and in each approximate way, in turn, a few times over; then, of a
block-causal network of SmolLM2-135M's shape, with finished blocks kept beside everything computed at every step.
Writes benchmarks/results/decoding.json.
"""

import statistics
import time
from dataclasses import replace

import torch
from rich.console import Console
from rich.table import Table
from setup import load_student, machine, save

from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.sampler import BlockSampler
from dopsd.diffusion.special_tokens import SpecialTokens
from dopsd.diffusion.trajectory import Trajectory
from dopsd.evaluation.differing import differing
from dopsd.model import LLaDAConfig, MaskedDiffusionLM

EXAMPLES, REPETITIONS, BATCH_SIZE = 256, 3, 32
WAYS = {
    "exact": {},
    "threshold 0.9": {"threshold": 0.9},
    "prefix cache": {"cache": "prefix"},
    "dual cache": {"cache": "dual"},
}

SMOLLM2_135M = {
    **{"d_model": 576, "n_heads": 9, "n_kv_heads": 3, "n_layers": 30, "mlp_hidden_size": 1536},
    **{"vocab_size": 49152, "weight_tying": True, "max_sequence_length": 8192, "rope_theta": 100000.0},
    **{"mask_token_id": 3, "eos_token_id": 0, "eot_token_id": 2},
}
PROMPT_LENGTH, GEN_LENGTH, BLOCK_LENGTH, STEPS = 64, 256, 4, 128


def main() -> None:
    """Measure, save, show."""
    results = {
        "machine": machine(),
        "examples": EXAMPLES,
        "batch_size": BATCH_SIZE,
        **measured(),
        "block_causal": block_causal(),
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


@torch.no_grad()
def block_causal() -> dict[str, float]:
    """One answer of random weights, without the exact cache and with it."""
    torch.manual_seed(0)
    network = MaskedDiffusionLM(
        LLaDAConfig(**SMOLLM2_135M, visible="block_causal", block_length=BLOCK_LENGTH)
    ).eval()
    special = SpecialTokens(mask_id=network.mask_id, eos_id=network.eos_id, end_ids=network.end_ids)
    prompts = Prompts.pad([torch.randint(4, 49152, (PROMPT_LENGTH,)).tolist()], network.eos_id)
    exact = BlockSampler(
        gen_length=GEN_LENGTH, block_length=BLOCK_LENGTH, denoising_steps=STEPS, early_exit=False
    )
    decoded, seconds = [], []
    for sampler in (exact, replace(exact, cache="exact")):
        start = time.perf_counter()
        decoded.append(sampler.sample(network, prompts, torch.zeros(1, dtype=torch.int64), special))
        seconds.append(time.perf_counter() - start)
    plain, kept = decoded
    return {
        **{"prompt_length": PROMPT_LENGTH, "gen_length": GEN_LENGTH, "block_length": BLOCK_LENGTH},
        "forwards_an_answer": STEPS,
        "tokens_per_s": GEN_LENGTH / seconds[0],
        "tokens_per_s_with_exact_cache": GEN_LENGTH / seconds[1],
        "speedup": seconds[0] / seconds[1],
        "tokens_that_differ": (plain.tokens != kept.tokens).double().mean().item(),
    }


def show(results: dict) -> None:
    """The table, and a line."""
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
    entry = results["block_causal"]
    Console().print(
        f"cache=exact, SmolLM2-135M's shape, {GEN_LENGTH} tokens in blocks of {BLOCK_LENGTH}: "
        f"{entry['tokens_per_s_with_exact_cache']:.1f} tokens/s, without {entry['tokens_per_s']:.1f} "
        f"({entry['speedup']:.2f} x), {100 * entry['tokens_that_differ']:.1f} % of the tokens differ"
    )


if __name__ == "__main__":
    main()
