"""Another order of unmasking, against plain loops over pairs of positions."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from fakes import random_trajectory
from hypothesis import given
from hypothesis import strategies as st

from dopsd.diffusion.reordering import share_reordered
from dopsd.diffusion.trajectory import NEVER

seeds = st.integers(0, 1000)


@given(seeds, seeds, st.integers(1, 4), st.integers(1, 4))
def test_the_share_of_reordered_pairs_counts_pairs_that_both_put_in_order(a, b, steps_of_one, steps_of_other):
    some = random_trajectory(a, steps_per_block=steps_of_one)
    others = random_trajectory(b, steps_per_block=steps_of_other)
    found = share_reordered(some, others).tolist()
    for row, (x, y) in enumerate(zip(some.step_map.tolist(), others.step_map.tolist(), strict=True)):
        same, opposite = 0, 0
        for i, j in itertools.combinations(range(len(x)), 2):
            if i // some.block_length == j // some.block_length and NEVER not in (x[i], x[j], y[i], y[j]):
                sign = (x[i] - x[j]) * (y[i] - y[j])
                same, opposite = same + (sign > 0), opposite + (sign < 0)
        expected = opposite / (same + opposite) if same + opposite else math.nan
        assert found[row] == pytest.approx(expected, nan_ok=True)


@given(seeds)
def test_a_trajectory_is_not_reordered_beside_itself_and_its_reverse_is_everywhere(seed):
    trajectory = random_trajectory(seed, steps_per_block=4)
    complete = replace(trajectory, step_map=torch.arange(12).expand(4, -1))
    backwards = replace(complete, step_map=complete.step_map.flip(1))
    assert share_reordered(complete, complete).eq(0).all()
    assert share_reordered(complete, backwards).eq(1).all()
