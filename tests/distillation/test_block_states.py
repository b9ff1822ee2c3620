"""One state of each block: every step that was taken there is as likely, and shows exactly what was written before."""

from collections import Counter
from itertools import combinations
from math import comb

import pytest
import torch
from fakes import random_trajectory
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.trajectory import NEVER
from dopsd.distillation.block_states import random_masks, visited_masks

BLOCK, MANY = 4, 6000
seeds = st.integers(0, 500)


def states_of(times: list[int]) -> dict[tuple[bool, ...], int]:
    """The states in which a block was at its steps, each with its step."""
    return {tuple(t >= step for t in times): step for step in times if step != NEVER}


@given(seeds, st.sampled_from([1, 2, 3, 4]))
def test_each_block_is_in_a_state_that_its_student_was_in(seed, steps_per_block):
    trajectory = random_trajectory(seed, steps_per_block=steps_per_block)
    masked = visited_masks(example_keys(seed, range(4)), trajectory.step_map, block_length=BLOCK)
    for times, drawn in zip(trajectory.step_map.view(-1, BLOCK), masked.view(-1, BLOCK), strict=True):
        visited = states_of(times.tolist())
        assert tuple(drawn.tolist()) in visited if visited else drawn.all()


@pytest.mark.parametrize(
    "times",
    [[0, 1, 2, 3], [3, 1, 3, 1], [7, 7, 7, 7], [2, NEVER, 0, NEVER], [5, NEVER, NEVER, NEVER], [NEVER] * 4],
)
def test_every_step_of_a_block_is_as_likely(times):
    step_map = torch.tensor([[0, 1, 2, 3, *times]]).expand(MANY, -1)
    masked = visited_masks(example_keys(3, range(MANY)), step_map, block_length=BLOCK)[:, BLOCK:]
    found = Counter(map(tuple, masked.tolist()))
    visited = states_of(times) or {(True,) * BLOCK: NEVER}
    assert found.keys() == visited.keys()
    assert stats.chisquare([*found.values()]).pvalue > 1e-3 or len(found) == 1


def test_blocks_and_rows_are_drawn_for_themselves():
    step_map = torch.arange(8).repeat(MANY, 1)
    keys = example_keys(0, range(MANY))
    masked = visited_masks(keys, step_map, block_length=BLOCK)
    pairs = Counter(map(tuple, masked.view(MANY, 2, BLOCK).sum(-1).tolist()))
    assert len(pairs) == 16
    assert stats.chisquare([*pairs.values()]).pvalue > 1e-3
    assert torch.equal(masked[5:9], visited_masks(keys[5:9], step_map[5:9], block_length=BLOCK))


def test_random_masks_are_those_of_a_uniform_probability_if_any():
    among = torch.tensor([[True, True, False, True]]).expand(MANY, -1)
    masked = random_masks(example_keys(1, range(MANY)), among, block_length=BLOCK)
    found = Counter(map(tuple, masked.tolist()))
    places = [0, 1, 3]
    expected = {
        tuple(i in chosen for i in range(BLOCK)): MANY / 3 / comb(3, k)
        for k in (1, 2, 3)
        for chosen in combinations(places, k)
    }
    assert found.keys() == expected.keys()
    assert stats.chisquare([found[state] for state in expected], [*expected.values()]).pvalue > 1e-3


def test_a_block_with_nothing_to_mask_has_no_random_mask():
    among = torch.tensor([[True] * 4 + [False] * 4])
    masked = random_masks(example_keys(0, [0]), among, block_length=BLOCK)
    assert masked[0, :4].any()
    assert not masked[0, 4:].any()
