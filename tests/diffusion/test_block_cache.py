"""Decoding with a cache: exact where a block takes one step, and a row's own business everywhere."""

import pytest
import torch
from fakes import EOS, SPECIAL, VOCABULARY, denoiser_of

from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.sampler import BlockSampler
from dopsd.diffusion.trajectory import NEVER, Trajectory

PROMPTS = [[4, 5, 6], [7, 8], [9, 10, 11, 12, 13], [14], [5, 9]]
ROWS = range(len(PROMPTS))


class Counted:
    """Counts the columns that a network computes."""

    def __init__(self, network):
        self.network, self.columns = network, 0

    def __call__(self, canvas, attention_mask, *, at, cache=None, active=None):
        self.columns += (canvas if active is None else active).numel()
        return self.network(canvas, attention_mask, at=at)


def sample(network, rows=ROWS, **options) -> Trajectory:
    geometry = {"gen_length": 12, "block_length": 4, "denoising_steps": 12, "temperature": 1.0}
    limits = {key: options.pop(key, None) for key in ("at_once", "tokens_at_once")}
    sampler = BlockSampler(**geometry | options)
    prompts = Prompts.pad([PROMPTS[i] for i in rows], EOS)
    keys = example_keys(0, list(rows))
    return sampler.sample(network, prompts, keys, SPECIAL, **limits)


@pytest.mark.parametrize("cache", ["prefix", "dual"])
@pytest.mark.parametrize("early_exit", [False, True])
def test_one_step_a_block_is_exact(network, cache, early_exit):
    options = {"denoising_steps": 3, "early_exit": early_exit}
    cached, exact = sample(network, cache=cache, **options), sample(network, **options)
    assert torch.equal(cached.tokens, exact.tokens)
    assert torch.equal(cached.step_map, exact.step_map)


@pytest.mark.parametrize("cache", ["prefix", "dual"])
def test_the_first_step_of_each_block_is_exact_and_later_ones_are_not(network, cache):
    cached, exact = (sample(network, early_exit=False, cache=arm) for arm in (cache, None))
    first = exact.step_map == 0
    assert torch.equal(cached.tokens[first], exact.tokens[first])
    assert not torch.equal(cached.tokens, exact.tokens)
    assert not (cached.step_map == NEVER).any()


@pytest.mark.parametrize("cache", ["prefix", "dual"])
@pytest.mark.parametrize("threshold", [None, 0.5])
@pytest.mark.parametrize("at_once", [1, 2, 3, None])
def test_a_row_does_not_depend_on_the_others(network, cache, threshold, at_once):
    options = {"cache": cache, "threshold": threshold, "temperature": 3.0}
    together = sample(network, at_once=at_once, **options)
    assert len(set(together.steps.tolist())) > 1
    for i in range(len(PROMPTS)):
        alone = sample(network, [i], **options)
        assert torch.equal(together.tokens[i : i + 1], alone.tokens)
        assert torch.equal(together.step_map[i : i + 1], alone.step_map)


@pytest.mark.parametrize(("budget", "rows"), [(1, 1), (2 * 17 - 1, 1), (3 * 17, 3), (1000, 5)])
def test_the_columns_that_a_cache_needs_fixed_count_in_a_budget(network, budget, rows):
    shapes = []

    def spied(canvas, *given, **named):
        shapes.append(tuple(canvas.shape))
        return network(canvas, *given, **named)

    limited = sample(spied, cache="dual", tokens_at_once=budget)
    assert {width for _, width in shapes} == {5 + 12}
    assert max(count for count, _ in shapes) == shapes[0][0] == rows
    assert torch.equal(limited.tokens, sample(network, cache="dual").tokens)


def test_a_cache_saves_columns():
    columns = {}
    for cache in (None, "prefix", "dual"):
        counted = Counted(denoiser_of(_zeros))
        sample(counted, temperature=0.0, early_exit=False, cache=cache)
        columns[cache] = counted.columns
    prompt, rows = 5, len(PROMPTS)
    full = rows * (prompt + 12)
    assert columns[None] == 12 * full
    assert columns["prefix"] == 3 * full + 3 * rows * (12 + 8 + 4)
    assert columns["dual"] == 3 * full + 3 * rows * 3 * 4


def _zeros(canvas, attention_mask, at):
    return torch.zeros(*at.shape, VOCABULARY)
