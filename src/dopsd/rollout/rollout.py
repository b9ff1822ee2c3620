"""Ask the student, retry while the verdict is no, keep what was accepted (METHOD: at most `max_attempts` tries)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Literal

import torch
from jaxtyping import Int
from pydantic import Field
from torch import Tensor

from dopsd.chat import Chat
from dopsd.diffusion.decoding import CanvasRows, Decoding, Try
from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.sampler import BlockSampler, Denoiser
from dopsd.diffusion.trajectory import Trajectory
from dopsd.rollout.batch import RolloutBatch
from dopsd.rollout.cost import Cost, CountedDenoiser
from dopsd.rollout.tries import Keep, Tries
from dopsd.setting import setting
from dopsd.stream import Draw
from dopsd.task import Task


@setting
class Rollout:
    """Rejection sampling: a prompt's next try starts as soon as its last one was refused, whatever other prompts do.

    `parallel_tries` of a prompt are in flight at once: more than are kept, but none waits for the one before. The
    result is the same; it pays where a forward of many rows costs no more than one of few. Verdicts are about the
    answer, or (`judged=canvas`) about all that is written, end tokens and what stands behind them included.
    """

    sampler: BlockSampler
    max_attempts: Annotated[int, Field(ge=1)] = 8
    parallel_tries: Annotated[int, Field(ge=1)] = 1
    keep: Keep = "first"
    dropout: bool = False
    judged: Literal["answer", "canvas"] = "answer"

    def of_length(self, gen_length: int) -> "Rollout":
        """The same with answers of so many tokens."""
        return replace(self, sampler=self.sampler.of_length(gen_length))

    def autoregressive(self) -> "Rollout":
        """The same with answers that an autoregressive network writes."""
        return replace(self, sampler=self.sampler.autoregressive())

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
        """Sample until accepted (`keep=first`), or all tries: the best is kept (`best`), or each of them (`all`).

        `on_progress` hears how many prompts need no more tries.
        """
        tries = Tries(
            len(draws), keep=self.keep, max_attempts=self.max_attempts, parallel_tries=self.parallel_tries
        )
        counted = CountedDenoiser(denoiser)
        decoding = self.sampler.decoding(counted, prompts, chat.special)
        device, order, finished = prompts.tokens.device, [], []
        while not tries.is_settled:
            if starting := tries.next():
                keys = _keys(starting, draws, seed, device)
                decoding.enter(starting, self.sampler.start(keys, chat.special))
            done, rows = _steps_until_done(decoding)
            order += done
            finished.append(self.sampler.trajectory(rows, chat.special))
            responses = chat.responses if self.judged == "answer" else chat.whole_texts
            for t, response in zip(done, responses(finished[-1].tokens), strict=True):
                tries.finish(t, task.verdict(draws[t.prompt].example, response))
            decoding.drop(tries.settled)
            on_progress(len(tries.settled))
        places = torch.tensor([order.index(t) for t in tries.kept], device=device)
        keys = _keys(tries.kept, draws, seed, device)
        return _batch(tries, Trajectory.joined(finished)[places], keys, chat, counted.cost(len(order)))


def _keys(tries: Sequence[Try], draws: Sequence[Draw], seed: int, device: torch.device) -> Int[Tensor, "B"]:
    """The random stream of each try: that of its draw's number and its attempt."""
    attempts = torch.tensor([t.attempt for t in tries], device=device)
    return example_keys(seed, [draws[t.prompt].number for t in tries], attempts, device)


def _steps_until_done(decoding: Decoding) -> tuple[list[Try], CanvasRows]:
    """Denoising steps until at least one try is done; takes out those that are."""
    done, rows = decoding.leave()
    while not done:
        decoding.step()
        done, rows = decoding.leave()
    return done, rows


def _batch(
    tries: Tries, trajectory: Trajectory, keys: Int[Tensor, "B"], chat: Chat, cost: Cost
) -> RolloutBatch:
    """The tries that are kept, with their trajectories and keys."""
    kept, device = tries.kept, keys.device
    return RolloutBatch(
        trajectory=trajectory,
        keys=keys,
        prompt=torch.tensor([t.prompt for t in kept], device=device),
        attempt=torch.tensor([t.attempt for t in kept], device=device),
        attempts=torch.tensor([tries.attempts(t.prompt) for t in kept], device=device),
        responses=chat.responses(trajectory.tokens),
        verdicts=[tries.verdict(t) for t in kept],
        prompts=tries.prompts,
        cost=cost,
    )
