"""The cost of a rollout is what its network was asked for, and what its geometry says."""

from typing import Any

import pytest
import torch
from fakes import CHAT, JudgeTask, TinyNetwork, example
from torch import Tensor

from dopsd.diffusion.sampler import BlockSampler
from dopsd.rollout import Rollout, RolloutBatch
from dopsd.rollout.cost import Cost
from dopsd.stream import Draw

STEPS, LENGTH, BLOCKS = 12, 12, 3


class Counting:
    """Counts the rows and columns that a network computes, but for padding."""

    def __init__(self) -> None:
        self.network, self.rows, self.columns = TinyNetwork(3), 0, 0

    def __call__(self, canvas: Tensor, attention_mask: Tensor | None, **asked: Any) -> Any:
        active = asked.pop("active", None)
        asked.pop("cache", None)
        self.rows += len(canvas)
        real = torch.ones_like(canvas) if attention_mask is None else attention_mask
        self.columns += int(real.sum()) if active is None else active.numel()
        return self.network(canvas, attention_mask, **asked)


def collect(numbers: range, judge: float = 1.0, **options: Any) -> tuple[RolloutBatch, Counting]:
    geometry = {"gen_length": LENGTH, "block_length": LENGTH // BLOCKS, "denoising_steps": STEPS}
    decoding = {key: options.pop(key) for key in ("cache", "cfg_scale", "early_exit") if key in options}
    sampler = BlockSampler(**geometry, temperature=1.5, **decoding)
    draws = [Draw(example=example(number), number=number) for number in numbers]
    prompts, network = CHAT.prompts(draw.example for draw in draws), Counting()
    task = JudgeTask(lambda response, gold: judge)
    batch = Rollout(sampler=sampler, **options).collect(network, draws, prompts, chat=CHAT, task=task, seed=0)
    return batch, network


@pytest.mark.parametrize(
    ("options", "factor"),
    [
        ({}, 1),
        ({"keep": "all"}, 3),
        ({"keep": "best"}, 3),
        ({"cfg_scale": 0.5}, 2),
        ({"parallel_tries": 2}, 2),
    ],
)
def test_full_forwards_have_all_columns_of_every_row(options: dict[str, Any], factor: int) -> None:
    """Of one accepted try of a prompt, times the tries (in vain or not), twice under guidance."""
    one = range(1)
    batch, network = collect(one, max_attempts=3, early_exit=False, **options)
    width = CHAT.prompts([example(0)]).tokens.shape[1] + LENGTH
    tries = 1 if "cfg_scale" in options else factor
    assert batch.cost == Cost(
        completions=tries,
        denoising_forwards=factor * STEPS,
        denoising_columns=factor * STEPS * width,
    )
    assert (network.rows, network.columns) == (factor * STEPS, factor * STEPS * width)


@pytest.mark.parametrize("cache", ["prefix", "dual"])
def test_with_a_cache_only_the_active_columns_count(cache: str) -> None:
    batch, _ = collect(range(2), max_attempts=1, early_exit=False, cache=cache)
    prompts, rows, block = CHAT.prompts([example(0), example(1)]).attention_mask, 2, LENGTH // BLOCKS
    cheap = BLOCKS * block if cache == "dual" else sum(range(block, LENGTH + 1, block))
    columns = BLOCKS * (int(prompts.sum()) + rows * LENGTH) + rows * (block - 1) * cheap
    assert batch.cost == Cost(completions=2, denoising_forwards=rows * STEPS, denoising_columns=columns)


@pytest.mark.parametrize(
    "options", [{}, {"cfg_scale": 0.5}, {"cache": "prefix"}, {"cache": "dual"}, {"parallel_tries": 3}]
)
def test_refused_and_abandoned_tries_count_and_parts_add_up(options: dict[str, Any]) -> None:
    parts = [collect(numbers, judge=0.0, max_attempts=4, **options) for numbers in (range(4), range(4, 6))]
    for batch, network in parts:
        assert batch.cost == Cost(
            completions=4 * batch.prompts, denoising_forwards=network.rows, denoising_columns=network.columns
        )
    whole = RolloutBatch.joined([batch for batch, _ in parts]).cost
    assert whole.completions == 4 * 6
    assert whole.denoising_forwards == sum(network.rows for _, network in parts)
    assert whole.denoising_columns == sum(network.columns for _, network in parts)


def test_a_try_that_is_given_up_counts_as_far_as_it_came() -> None:
    """Prompt by prompt: the accepted try ends early, so that the one beside it is abandoned."""
    batch, network = collect(range(6), max_attempts=2, parallel_tries=2)
    assert batch.attempts.tolist() == [1] * 6
    assert batch.cost.denoising_forwards == network.rows > int(batch.trajectory.steps.sum())
    assert 6 <= batch.cost.completions <= 12
    assert torch.equal(batch.attempt, torch.zeros(6, dtype=torch.int64))
