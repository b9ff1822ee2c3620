"""Ask the student, retry while the verdict is no, keep what was accepted (METHOD: at most `max_attempts` tries)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Int
from pydantic import Field
from torch import Tensor

from dopsd.chat import Chat
from dopsd.diffusion.decoding import CanvasRows, Try
from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.sampler import BlockSampler, Denoiser
from dopsd.diffusion.trajectory import Trajectory
from dopsd.setting import setting
from dopsd.stream import Draw
from dopsd.task import Task, Verdict


@dataclass(frozen=True, kw_only=True)
class RolloutBatch:
    """What the student did with each prompt: one kept trajectory, its verdict, and the tries it took."""

    trajectory: Trajectory
    keys: Int[Tensor, "B"]
    responses: list[str]
    verdicts: list[Verdict]
    attempts: Int[Tensor, "B"]

    @property
    def accepted(self) -> Bool[Tensor, "B"]:
        """Rows whose kept answer was accepted."""
        return torch.tensor([v.accepted for v in self.verdicts], device=self.attempts.device)

    @classmethod
    def joined(cls, parts: Sequence["RolloutBatch"]) -> "RolloutBatch":
        """The rollouts of all parts, in their order."""
        return cls(
            trajectory=Trajectory.joined([part.trajectory for part in parts]),
            keys=torch.cat([part.keys for part in parts]),
            responses=[response for part in parts for response in part.responses],
            verdicts=[verdict for part in parts for verdict in part.verdicts],
            attempts=torch.cat([part.attempts for part in parts]),
        )

    def to(self, device: torch.device | str) -> "RolloutBatch":
        """The same rollouts on another device."""
        return replace(
            self,
            trajectory=self.trajectory.to(device),
            keys=self.keys.to(device),
            attempts=self.attempts.to(device),
        )


@dataclass(frozen=True)
class Answer:
    """A finished try at one prompt; `place` is that of its row among all that are finished."""

    place: int
    response: str
    verdict: Verdict


@setting
class Rollout:
    """Rejection sampling: a prompt's next try starts as soon as its last one was refused, whatever other prompts do.

    `parallel_tries` of a prompt are in flight at once: more than are kept, but none waits for the one before. The
    result is the same; it pays where a forward of many rows costs no more than one of few.
    """

    sampler: BlockSampler
    max_attempts: Annotated[int, Field(ge=1)] = 8
    parallel_tries: Annotated[int, Field(ge=1)] = 1
    keep: Literal["first", "best"] = "first"
    dropout: bool = False

    def collect(
        self,
        denoiser: Denoiser,
        draws: Sequence[Draw],
        prompts: Prompts,
        *,
        chat: Chat,
        task: Task,
        seed: int,
        on_progress: Callable[[int], None] = lambda settled: None,
    ) -> RolloutBatch:
        """Sample until accepted (`keep=first`), or all tries and the best score (`keep=best`).

        `on_progress` hears how many prompts need no more tries.
        """
        device = prompts.tokens.device
        decoding = self.sampler.decoding(denoiser, prompts, chat.special)
        answers: list[dict[int, Answer]] = [{} for _ in draws]
        started = [0] * len(draws)
        finished: list[CanvasRows] = []

        def keys_of(tries: Sequence[Try]) -> Int[Tensor, "B"]:
            attempts = torch.tensor([t.attempt for t in tries], device=device)
            return example_keys(seed, [draws[t.prompt].number for t in tries], attempts, device)

        while True:
            tries = self._next_tries(answers, started)
            if tries:
                decoding.enter(tries, self.sampler.start(keys_of(tries), chat.special))
            if not len(decoding):
                break
            left, rows = decoding.leave()
            if not left:
                decoding.step()
                continue
            responses = chat.responses(self.sampler.trajectory(rows, chat.special).tokens)
            for place, (t, response) in enumerate(zip(left, responses, strict=True), sum(map(len, finished))):
                verdict = task.verdict(draws[t.prompt].example, response)
                answers[t.prompt][t.attempt] = Answer(place, response, verdict)
            finished.append(rows)
            settled = [i for i, given in enumerate(answers) if self._needed(given) is not None]
            decoding.drop(settled)
            on_progress(len(settled))
        needed = [self._needed(given) or 0 for given in answers]
        kept = [
            max((given[k] for k in range(n)), key=_rank) for given, n in zip(answers, needed, strict=True)
        ]
        places = torch.tensor([answer.place for answer in kept], device=device)
        return RolloutBatch(
            trajectory=self.sampler.trajectory(CanvasRows.joined(finished)[places], chat.special),
            keys=keys_of([Try(i) for i in range(len(draws))]),
            responses=[answer.response for answer in kept],
            verdicts=[answer.verdict for answer in kept],
            attempts=torch.tensor(needed, device=device),
        )

    def _next_tries(self, answers: Sequence[Mapping[int, Answer]], started: list[int]) -> list[Try]:
        """What to start now, counted in `started`."""
        tries = []
        for prompt, given in enumerate(answers):
            if self._needed(given) is None:
                last = min(self.max_attempts, len(given) + self.parallel_tries)
                tries += [Try(prompt, attempt) for attempt in range(started[prompt], last)]
                started[prompt] = max(started[prompt], last)
        return tries

    def _needed(self, answers: Mapping[int, Answer]) -> int | None:
        """The number of tries, in their order, that a prompt takes; None while that is open."""
        for attempt in range(self.max_attempts):
            if attempt not in answers:
                return None
            if self.keep == "first" and answers[attempt].verdict.accepted:
                return attempt + 1
        return self.max_attempts


def _rank(answer: Answer) -> tuple[bool, float]:
    return answer.verdict.accepted, answer.verdict.score
