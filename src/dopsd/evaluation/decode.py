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
from dopsd.task import Example, Task, VerdictWord


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One decoded and graded answer."""

    id: str
    prompt: str
    response: str
    verdict: VerdictWord
    score: float
    extras: Mapping[str, float] = field(default_factory=dict)
    tokens: int
    forwards: int
    attempt: int = 0

    @property
    def correct(self) -> bool:
        """Whether it counts in the accuracy."""
        return self.verdict == "correct"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All answers of one evaluation, in the order of the examples, those to one example side by side."""

    samples: list[Sample]

    @property
    def problems(self) -> dict[str, list[bool]]:
        """Which samples of each example are correct, by its id."""
        found: dict[str, list[bool]] = {}
        for sample in self.samples:
            found.setdefault(sample.id, []).append(sample.correct)
        return found

    @property
    def shares(self) -> dict[str, float]:
        """The share of correct samples of each example, by its id."""
        return {identity: sum(right) / len(right) for identity, right in self.problems.items()}

    @property
    def accuracy(self) -> Interval:
        """Share of correct answers with its interval; of n examples, however many samples each has."""
        return Interval.of_problems(list(self.shares.values()))


def evaluate(
    denoiser: Denoiser,
    *,
    task: Task,
    examples: Sequence[Example],
    chat: Chat,
    sampler: BlockSampler,
    batch_size: int,
    attempts: int = 1,
    seed: int,
    device: torch.device | str = "cpu",
    on_progress: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Decode every example `attempts` times, short prompts first; the next answer enters when one is done.

    `batch_size` answers are decoded at once; `on_progress` hears how many were done. No examples (a rank's part of very
    few) make an empty evaluation.
    """
    if not examples:
        return Evaluation(samples=[])
    encoded = [chat.encode_prompt(example.prompt) for example in examples]
    places = [(i, attempt) for i in range(len(examples)) for attempt in range(attempts)]
    by_length = sorted(places, key=lambda place: len(encoded[place[0]]))
    _, attempt_of = torch.tensor(by_length, device=device).T
    trajectory = sampler.sample(
        denoiser,
        Prompts.pad([encoded[i] for i, _ in by_length], chat.special.eos_id, device),
        keys_of([examples[i] for i, _ in by_length], seed, device, attempt_of),
        chat.special,
        at_once=batch_size,
        on_progress=on_progress,
    )
    lengths, steps = trajectory.lengths(chat.special.end_ids).tolist(), trajectory.steps.tolist()
    answers = zip(by_length, chat.responses(trajectory.tokens), lengths, steps, strict=True)
    samples = {
        (i, attempt): _graded(task, examples[i], response, tokens, forwards, attempt=attempt)
        for (i, attempt), response, tokens, forwards in answers
    }
    return Evaluation(samples=[samples[place] for place in places])


def keys_of(
    examples: Sequence[Example], seed: int, device: torch.device | str, attempt: int | Int[Tensor, "B"] = 0
) -> Int[Tensor, "B"]:
    """Random streams that belong to the examples' ids, not to their place in a batch."""
    digests = (blake2b(example.id.encode(), digest_size=8).digest() for example in examples)
    return example_keys(seed, [int.from_bytes(digest, "big") for digest in digests], attempt, device)


def _graded(
    task: Task, example: Example, response: str, tokens: int, forwards: int, *, attempt: int
) -> Sample:
    verdict = task.verdict(example, response)
    return Sample(
        id=example.id,
        prompt=example.prompt,
        response=response,
        verdict=verdict.word,
        score=verdict.score,
        extras=verdict.extra,
        tokens=tokens,
        forwards=forwards,
        attempt=attempt,
    )
