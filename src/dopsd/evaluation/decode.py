"""Decode examples in batches and grade the answers; the result does not depend on the batch size."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import torch
from jaxtyping import Int
from torch import Tensor

from dopsd.chat import Chat
from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.sampler import BlockSampler, Denoiser
from dopsd.evaluation.interval import Interval
from dopsd.task import Example, Task


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One decoded and graded answer."""

    id: str
    prompt: str
    response: str
    accepted: bool
    score: float
    extras: Mapping[str, float] = field(default_factory=dict)
    tokens: int
    forwards: int


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All answers of one evaluation, in the order of the examples."""

    samples: list[Sample]

    @property
    def accuracy(self) -> Interval:
        """Share of accepted answers with its interval."""
        return Interval.of(sum(s.accepted for s in self.samples), len(self.samples))


def evaluate(
    denoiser: Denoiser,
    *,
    task: Task,
    examples: Sequence[Example],
    chat: Chat,
    sampler: BlockSampler,
    batch_size: int,
    seed: int,
    device: torch.device | str = "cpu",
    on_progress: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Decode every example once, `batch_size` at a time, short prompts first; the next enters when one is done.

    `on_progress` hears how many were done. No examples (a rank's part of very few) make an empty evaluation.
    """
    if not examples:
        return Evaluation(samples=[])
    encoded = [chat.encode_prompt(example.prompt) for example in examples]
    by_length = sorted(range(len(examples)), key=lambda i: len(encoded[i]))
    trajectory = sampler.sample(
        denoiser,
        Prompts.pad([encoded[i] for i in by_length], chat.special.eos_id, device),
        keys_of([examples[i] for i in by_length], seed, device),
        chat.special,
        at_once=batch_size,
        on_progress=on_progress,
    )
    lengths, steps = trajectory.lengths(chat.special.end_ids).tolist(), trajectory.steps.tolist()
    answers = zip(chat.responses(trajectory.tokens), lengths, steps, strict=True)
    samples = {i: _graded(task, examples[i], *answer) for i, answer in zip(by_length, answers, strict=True)}
    return Evaluation(samples=[samples[i] for i in range(len(examples))])


def keys_of(examples: Sequence[Example], seed: int, device: torch.device | str) -> Int[Tensor, "B"]:
    """Random streams that belong to the examples' ids, not to their place in a batch."""
    digests = (blake2b(example.id.encode(), digest_size=8).digest() for example in examples)
    return example_keys(seed, [int.from_bytes(digest, "big") for digest in digests], device=device)


def _graded(task: Task, example: Example, response: str, tokens: int, forwards: int) -> Sample:
    verdict = task.verdict(example, response)
    return Sample(
        id=example.id,
        prompt=example.prompt,
        response=response,
        accepted=verdict.accepted,
        score=verdict.score,
        extras=verdict.extra,
        tokens=tokens,
        forwards=forwards,
    )
