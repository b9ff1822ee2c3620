"""Advantages against plain arithmetic, and groups in which nothing can be told apart."""

from statistics import fmean, stdev

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dopsd.policy.advantage import Advantage

EPS = 1e-4
groups = st.integers(2, 6).flatmap(
    lambda size: st.lists(st.lists(st.integers(-3, 3), min_size=size, max_size=size), min_size=1, max_size=4)
)


def advantages(baseline="mean", divide_by_std=False):
    return Advantage(baseline=baseline, divide_by_std=divide_by_std, std_eps=EPS)


@given(groups, st.sampled_from(["mean", "leave_one_out"]), st.booleans())
def test_each_is_its_reward_less_the_baseline(rewards, baseline, divide_by_std):
    found, has_signal = advantages(baseline, divide_by_std).of(torch.tensor(rewards).float())
    for row, group in enumerate(rewards):
        assert bool(has_signal[row]) == (len(set(group)) > 1)
        for place, reward in enumerate(group):
            others = group[:place] + group[place + 1 :] if baseline == "leave_one_out" else group
            wanted = reward - fmean(others)
            if divide_by_std:
                wanted /= stdev(group) + EPS
            assert float(found[row, place]) == pytest.approx(wanted, abs=1e-12)


@given(st.integers(2, 9), st.floats(-2, 2, width=32), st.sampled_from(["mean", "leave_one_out"]))
def test_equal_rewards_give_exactly_nothing(size, reward, baseline):
    found, has_signal = advantages(baseline, divide_by_std=True).of(torch.full((1, size), reward))
    assert not has_signal.any()
    assert found.eq(0).all()
