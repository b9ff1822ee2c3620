"""Decode examples in batches and grade the answers; the result does not depend on the batch size."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

import torch
from jaxtyping import Int
from torch import Tensor

from dopsd.chat import Chat
from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.sampler import BlockSampler, Denoiser
from dopsd.diffusion.trajectory import Trajectory
from dopsd.evaluation.interval import Interval
from dopsd.evaluation.scores import Scores
from dopsd.setting import setting
from dopsd.task import Example, Task, VerdictWord


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One decoded and graded answer: its text, what the grader read in it (`extracted`), and its verdict.

    `answer` has its tokens before the first end token, `steps` the denoising step at which each was written;
    `accepted` says whether training would learn from it.
    """

    id: str
    prompt: str
    gold: str
    response: str
    extracted: str | None
    verdict: VerdictWord
    accepted: bool
    score: float
    metrics: Mapping[str, float]
    answer: Sequence[int]
    forwards: int
    attempt: int = 0
    steps: Sequence[int] = ()

    @property
    def correct(self) -> bool:
        """Whether it is right as a whole."""
        return self.verdict == "correct"

    @property
    def tokens(self) -> int:
        """The length of the answer."""
        return len(self.answer)

    def as_dict(self) -> dict[str, Any]:
        """The answer in a file of samples: its text, and how many tokens it has."""
        return {key: getattr(self, key) for key in _WRITTEN}


_WRITTEN = (
    *("id", "prompt", "gold", "response", "extracted", "verdict", "accepted", "score", "metrics", "tokens"),
    *("forwards", "attempt"),
)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All answers of one evaluation, in the order of the examples, those to one example side by side.

    `metric` is what is reported of them.
    """

    samples: list[Sample]
    metric: str

    @property
    def problems(self) -> dict[str, list[bool]]:
        """Which samples of each example are correct, by its id."""
        found: dict[str, list[bool]] = {}
        for sample in self.samples:
            found.setdefault(sample.id, []).append(sample.correct)
        return found

    @property
    def scores(self) -> Scores:
        """What the answers reached by each metric; raises ValueError where there are none."""
        return Scores.of(self.metric, ((sample.id, sample.metrics) for sample in self.samples))

    @property
    def accuracy(self) -> Interval:
        """The reported metric with its interval; of n examples, however many samples each has."""
        return self.scores.accuracy


Place = tuple[int, int]


@setting
class EvaluationPrompts:
    """How a held-out prompt is put to the model: with the first words of the answer, if any, behind it.

    `padding=seen` decodes `batch_size` prompts at a time, padded to the longest of them with end of text that the model
    sees as a part of the prompt (d1 and what comes from it): the answers depend on the batch.
    """

    prefill: str = ""
    padding: Literal["masked", "seen"] = "masked"

    def prefilled(self, tokenizer: Any) -> list[int]:
        """The tokens of the first words."""
        return tokenizer.encode(self.prefill, add_special_tokens=False) if self.prefill else []

    def batches(
        self, places: Sequence[Place], prompts: Sequence[Sequence[int]], batch_size: int
    ) -> list[Sequence[Place]]:
        """What is decoded together: all, short prompts first, or (`seen`) so many in their order.

        A place is an example's number, of which `prompts` has the tokens, and an attempt.
        """
        if self.padding == "masked":
            return [sorted(places, key=lambda place: len(prompts[place[0]]))]
        return [places[start : start + batch_size] for start in range(0, len(places), batch_size)]


_PLAINLY = EvaluationPrompts()


def evaluate(
    denoiser: Denoiser,
    *,
    task: Task,
    examples: Sequence[Example],
    chat: Chat,
    sampler: BlockSampler,
    put: EvaluationPrompts = _PLAINLY,
    batch_size: int,
    batch_tokens: int | None = None,
    attempts: int = 1,
    seed: int,
    device: torch.device | str = "cpu",
    on_progress: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Decode every example `attempts` times, short prompts first; the next answer enters when one is done.

    At most `batch_size` answers are decoded at once, and at most `batch_tokens` tokens in one forward; `on_progress`
    hears how many were done. No examples (a rank's part of very few) make an empty evaluation.
    """
    if not examples:
        return Evaluation(samples=[], metric=task.metric)
    first_words = put.prefilled(chat.tokenizer)
    encoded = [chat.encode_prompt(example.prompt) + first_words for example in examples]
    places = [(i, attempt) for i in range(len(examples)) for attempt in range(attempts)]
    batches = put.batches(places, encoded, batch_size)

    def sampled(batch: Sequence[Place]) -> Trajectory:
        prompts = Prompts.pad([encoded[i] for i, _ in batch], chat.special.eos_id, device)
        attempt_of = torch.tensor([attempt for _, attempt in batch], device=device)
        return sampler.sample(
            denoiser,
            prompts if put.padding == "masked" else prompts.unmasked(),
            keys_of([examples[i] for i, _ in batch], seed, device, attempt_of),
            chat.special,
            at_once=batch_size,
            tokens_at_once=batch_tokens,
            on_progress=on_progress,
        )

    trajectory = Trajectory.joined([sampled(batch) for batch in batches])
    answers, in_order = chat.answers(trajectory.tokens), [place for batch in batches for place in batch]
    forwards, step_maps = trajectory.steps.tolist(), trajectory.step_map.tolist()
    decoded = zip(in_order, answers, chat.texts(answers), forwards, step_maps, strict=True)
    samples = {
        (i, attempt): _graded(
            task,
            examples[i],
            answer,
            response,
            forwards=steps,
            steps=step_map[: len(answer)],
            attempt=attempt,
        )
        for (i, attempt), answer, response, steps, step_map in decoded
    }
    return Evaluation(samples=[samples[place] for place in places], metric=task.metric)


def keys_of(
    examples: Sequence[Example], seed: int, device: torch.device | str, attempt: int | Int[Tensor, "B"] = 0
) -> Int[Tensor, "B"]:
    """Random streams that belong to the examples' ids, not to their place in a batch."""
    digests = (blake2b(example.id.encode(), digest_size=8).digest() for example in examples)
    return example_keys(seed, [int.from_bytes(digest, "big") for digest in digests], attempt, device)


def _graded(
    task: Task,
    example: Example,
    answer: Sequence[int],
    response: str,
    *,
    forwards: int,
    steps: Sequence[int],
    attempt: int,
) -> Sample:
    verdict = task.verdict(example, response)
    return Sample(
        id=example.id,
        prompt=example.prompt,
        gold=str(example.gold),
        response=response,
        extracted=verdict.answer,
        verdict=verdict.word,
        accepted=verdict.accepted,
        score=verdict.score,
        metrics=verdict.metrics,
        answer=answer,
        forwards=forwards,
        attempt=attempt,
        steps=steps,
    )
