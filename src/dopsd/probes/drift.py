"""Drift: what sampling in a faster, approximate way does to the rollouts that training would learn from."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from dopsd.diffusion.block_cache import CacheScope
from dopsd.diffusion.choose import columns_of
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.reordering import share_reordered
from dopsd.diffusion.sampler import BlockSampler
from dopsd.diffusion.trajectory import States, Trajectory
from dopsd.evaluation.differing import differing
from dopsd.probes.drift_finding import ANOTHER_SEED, EXACT, DriftFinding, WayMeasurement
from dopsd.probes.probe import Probe, Subject
from dopsd.rollout import Rollout, RolloutBatch
from dopsd.setting import setting
from dopsd.stream import Draw


@setting
class Way:
    """An approximate way to sample: by a threshold, with a cache, or both."""

    threshold: Annotated[float, Field(gt=0, le=1)] | None = None
    cache: CacheScope | None = None

    def __str__(self) -> str:
        threshold = [] if self.threshold is None else [f"threshold {self.threshold:g}"]
        return ", ".join(threshold + ([] if self.cache is None else [f"{self.cache} cache"]))


@setting
class Drift(Probe):
    """One try at each prompt, exactly and in each way with the same random streams; and exactly with another seed.

    Raises ValueError where a way is none, stands there twice or does not fit the sampler, and at temperature 0, where
    a token has no probability.
    """

    title = "drift of approximate sampling"

    rollout: Rollout
    ways: tuple[Way, ...] = (
        Way(threshold=0.9),
        Way(cache="prefix"),
        Way(cache="dual"),
        Way(threshold=0.9, cache="dual"),
    )

    def __post_init__(self) -> None:
        names = [str(way) for way in self.ways]
        if not names or "" in names or len(set(names)) < len(names):
            raise ValueError(f"ways={names}: must be different ways, each with a threshold, a cache or both")
        if self.rollout.sampler.temperature == 0:
            raise ValueError("temperature=0: must be above 0, drift is that of samples")
        assert self.rollouts

    @property
    def rollouts(self) -> dict[str, Rollout]:
        """Those to compare, one try each; the exact one first."""
        exact = replace(self.rollout.sampler, threshold=None, cache=None)
        samplers = {EXACT: exact} | {
            str(way): replace(exact, threshold=way.threshold, cache=way.cache) for way in self.ways
        }
        return {name: replace(self.rollout, sampler=s, max_attempts=1) for name, s in samplers.items()}

    @property
    def samplers(self) -> Mapping[str, BlockSampler]:
        """Those of all ways."""
        return {name: rollout.sampler for name, rollout in self.rollouts.items()}

    def run(self, subject: Subject) -> DriftFinding:
        """Every measure of every prompt; the speed, in which all ways take turns, is that of this run."""
        batches = defaultdict(list)
        for draws in subject.batches():
            for name, measured in self._look_at(subject, draws).items():
                batches[name].append(measured)
        joined = {name: WayMeasurement.joined(parts) for name, parts in batches.items()}
        return DriftFinding(seed=subject.seed, measured=joined)

    def _look_at(self, subject: Subject, draws: Sequence[Draw]) -> Mapping[str, WayMeasurement]:
        rollouts, prompts, found = self.rollouts, subject.prompts(draws), {}
        asked = {name: (subject, rollout) for name, rollout in rollouts.items()}
        asked[ANOTHER_SEED] = (replace(subject, seed=subject.seed + 1), rollouts[EXACT])
        exact: RolloutBatch | None = None
        for name, (asking, rollout) in asked.items():
            start = time.perf_counter()
            tried = asking.ask(rollout, draws)
            seconds = time.perf_counter() - start
            exact = exact or tried
            found[name] = WayMeasurement.of(
                seconds=seconds,
                accepted=tried.accepted,
                differing=self._differing(subject, tried, exact),
                reordered=share_reordered(tried.trajectory, exact.trajectory),
                log_probability=self._log_probability(subject, prompts, tried.trajectory),
                forwards=tried.trajectory.steps.double(),
            )
        return found

    def _differing(self, subject: Subject, tried: RolloutBatch, exact: RolloutBatch) -> Float[Tensor, "B"]:
        """The share of tokens that differ, prompt by prompt."""
        answers = zip(*(subject.chat.answers(each.trajectory.tokens) for each in (tried, exact)), strict=True)
        return torch.tensor([differing([one], [other]) for one, other in answers], dtype=torch.float64)

    def _log_probability(
        self, subject: Subject, prompts: Prompts, trajectory: Trajectory
    ) -> Float[Tensor, "B"]:
        """What exact sampling gives to the tokens of a trajectory where they were unmasked, in nats a token."""
        states = trajectory.visited_states(subject.chat.special.mask_id)
        total = torch.zeros(len(trajectory), dtype=torch.float64, device=states.step.device)
        for start in range(0, len(states), subject.batch_size):
            part = states[start : start + subject.batch_size]
            total = total.index_add(0, part.rollout, self._at_states(subject, prompts[part.rollout], part))
        written = torch.zeros_like(total).index_add(0, states.rollout, states.unmasked_now.sum(1).double())
        return total / written

    @torch.no_grad()
    def _at_states(self, subject: Subject, prompts: Prompts, states: States) -> Float[Tensor, "S"]:
        """The sum over what is unmasked at each state."""
        sampler, special = self.rollout.sampler, subject.chat.special
        columns, is_real = columns_of(states.unmasked_now, int(states.unmasked_now.sum(1).max()))
        hidden = sampler.guided(subject.student, special)(
            *prompts.followed_by(states.canvas), at=prompts.tokens.shape[1] + columns
        )
        found = hidden.log_probability(
            states.finished.gather(1, columns),
            temperature=sampler.temperature,
            forbidden=sampler.forbidden(special),
        )
        return found.double().masked_fill(~is_real, 0).sum(1)
