"""What methods share that learn from what the student itself writes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

from dopsd import ranks
from dopsd.diffusion.denoiser import Denoiser
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.responses import Responses
from dopsd.memory import needing
from dopsd.method.method import Method
from dopsd.method.spending import Workload
from dopsd.method.teacher_weights import AttachedWeights, next_tokens
from dopsd.model import dropout_off, in_step, sampling
from dopsd.rollout import Cost, Rollout, RolloutBatch
from dopsd.stream import Draw

LearnFrom = Literal["accepted", "all"]  # which answers of a rollout


class OnPolicy(Method):
    """A method that asks the student for rollouts, each rank for its part of them."""

    def __init__(self, *, rollout: Rollout, **shared: Any):
        super().__init__(**shared)
        self.rollout = rollout

    def roll_out(
        self,
        batch: Sequence[Draw],
        prompts: Prompts,
        *,
        writer: AttachedWeights | None = None,
        gen_length: int | None = None,
        autoregressive: bool = False,
        name: str = "rollout",
    ) -> RolloutBatch:
        """Answers to all prompts of the batch, by the student or `writer`, on every rank; logs what came of them.

        They have `gen_length` tokens, or as many as the method's rollouts have. `autoregressive`: the writer's weights
        are read as those of such a network, which writes token after token.
        """
        by = self.rollout if gen_length is None else self.rollout.of_length(gen_length)
        by = by.autoregressive() if autoregressive else by
        size = len(batch) // ranks.count()
        mine = slice(ranks.this() * size, (ranks.this() + 1) * size)
        with self.clock("rollout"), self._needing_less(len(batch)):
            with self._lent(writer) as denoiser:
                part = by.collect(
                    next_tokens(denoiser) if autoregressive else denoiser,
                    batch[mine],
                    prompts[mine],
                    chat=self.chat,
                    task=self.task,
                    seed=self.seed,
                    on_progress=lambda settled: self.on_progress("rollout", settled, size),
                )
            # Only now: a rank that has asked for less takes part in the forwards of the others until all are done.
            rollout = RolloutBatch.joined(ranks.gathered(part.to("cpu"))).to(self.device)
        self.budget.roll_out(rollout.cost)
        self._log_rollout(rollout, name)
        return rollout

    def written(
        self,
        batch: Sequence[Draw],
        prompts: Prompts,
        *,
        learn_from: LearnFrom,
        **by: Any,
    ) -> Responses:
        """Of a rollout (by whom: as roll_out takes it) all that was written, or what was accepted of it."""
        rollout = self.roll_out(batch, prompts, **by)
        is_learnt = rollout.accepted | (learn_from == "all")
        return rollout.answering(prompts, self.chat.special.end_ids)[is_learnt]

    @property
    def tries_per_prompt(self) -> tuple[int, ...]:
        """One is enough where the first accepted one is kept; else it takes all."""
        most = self.rollout.max_attempts
        return (1, most) if self.rollout.keep == "first" else (most,)

    def most_answers(self, load: Workload) -> int:
        """How many answers are kept at most."""
        return load.completions if self.rollout.keep == "all" else load.prompts

    def most_rollouts(self, load: Workload, *, autoregressive: bool = False) -> Cost:
        """What the answers of a training step cost at most."""
        by = self.rollout.autoregressive() if autoregressive else self.rollout
        return Cost.at_most(by.sampler, load.completions, prompt_tokens=load.prompt_tokens)

    def log_updates(self, updates: Sequence[Mapping[str, float]], examples: float) -> None:
        """Log the mean of what the optimizer steps on a rollout say, and from how many examples they learnt."""
        means = {key: sum(each[key] for each in updates) / len(updates) for key in updates[0]}
        self.log_step({**means, "train/examples": examples})

    @contextmanager
    def _lent(self, writer: AttachedWeights | None) -> Iterator[Denoiser]:
        if writer is None:
            with (in_step if self.rollout.dropout else sampling)(self.network) as denoiser:
                yield denoiser
        else:  # no adapter is folded in: these may be the weights without it
            with dropout_off(self.network), writer.network() as network, in_step(network) as denoiser:
                yield denoiser

    def _needing_less(self, prompts: int) -> AbstractContextManager[None]:
        """What to lower where a rollout does not fit: tries that are only there for speed, else prompts."""
        tries, ranks_share = self.rollout.parallel_tries, prompts // ranks.count()
        if tries > 1:
            return needing("rollout.parallel_tries", tries, during="a rollout", smaller=tries // 2)
        smaller = ranks_share // 2 * ranks.count() or None
        return needing("prompts_per_step", prompts, during="a rollout", smaller=smaller)

    def _log_rollout(self, rollout: RolloutBatch, name: str) -> None:
        length = rollout.trajectory.lengths(self.chat.special.end_ids)
        self.log_step(
            {
                f"{name}/accepted": rollout.accepted.float().mean(),
                f"{name}/attempts": rollout.attempts.float().mean(),
                f"{name}/length": length.float().mean(),
                f"{name}/no_end": (length == rollout.trajectory.tokens.shape[1]).float().mean(),
            }
        )
