"""Systematic sampling of states: the right number, the right expectation, spread over the trajectory."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from dopsd.diffusion.noise import example_keys
from dopsd.distillation.state_sample import times_counted

sizes = st.lists(st.integers(1, 40), min_size=1, max_size=5)


def counted(sizes: list[int], number: int, seed: int = 0) -> list[torch.Tensor]:
    """What `times_counted` gives to the states of each trajectory."""
    rollout = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    keys = example_keys(seed, range(len(sizes)))[rollout]
    return list(times_counted(rollout, keys, number).split(sizes))


@given(sizes, st.integers(1, 12), st.integers(0, 50))
def test_as_many_states_as_asked_for_each_as_heavy_as_those_it_stands_for(sizes, number, seed):
    for size, times in zip(sizes, counted(sizes, number, seed), strict=True):
        if size <= number:
            assert times.eq(1).all()
        else:
            kept = times[times > 0]
            assert len(kept) == number
            torch.testing.assert_close(kept, torch.full_like(kept, size / number))


@given(st.integers(2, 40), st.integers(1, 12), st.integers(0, 50))
def test_no_stretch_of_a_trajectory_is_left_out(size, number, seed):
    [times] = counted([size], number, seed)
    gap = -(-2 * size // number)  # two points are less than that many states apart
    assert all(times[start : start + gap].any() for start in range(size - gap + 1))


def test_the_mean_over_seeds_counts_every_state_once():
    size, number, seeds = 13, 4, 4000
    mean = torch.stack([counted([size], number, seed)[0] for seed in range(seeds)]).double().mean(0)
    chance = number / size
    standard_error = (size / number) * (chance * (1 - chance) / seeds) ** 0.5
    assert ((mean - 1).abs() < 4.5 * standard_error).all()


def test_a_trajectory_is_sampled_alike_whatever_stands_beside_it():
    alone, beside = counted([30], 5)[0], counted([30, 7, 22], 5)[0]
    assert torch.equal(alone, beside)
