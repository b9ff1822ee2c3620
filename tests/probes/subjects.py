"""A small model with prompts of a task that accepts about a quarter of its answers."""

from collections.abc import Callable
from contextlib import nullcontext

from fakes import CHAT, JudgeTask, TinyNetwork, example

from dopsd.diffusion.sampler import BlockSampler
from dopsd.probes import Subject

GEOMETRY = {"gen_length": 6, "block_length": 3, "denoising_steps": 4}
SAMPLER = BlockSampler(**GEOMETRY, temperature=1.5)
GREEDY = BlockSampler(**GEOMETRY)


def letters(response: str, gold: int) -> float:
    """A score from 0 to 1 that differs between examples and responses."""
    return sum((ord(letter) * 7 + gold) % 12 for letter in response) % 10 / 9


def subject(
    seed: int = 3,
    *,
    batch_size: int = 12,
    judge: Callable[[str, int], float] = letters,
    untrained: TinyNetwork | None = None,
) -> Subject:
    """Twelve prompts, all with a reference solution."""
    network = TinyNetwork(seed)
    return Subject(
        student=network,
        untrained=lambda: nullcontext(untrained or network),
        task=JudgeTask(judge, accept=0.6),
        chat=CHAT,
        examples=[example(i, solution="abcab"[: 1 + i % 5]) for i in range(12)],
        batch_size=batch_size,
        seed=0,
    )
