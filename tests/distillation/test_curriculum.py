"""Curricula: the published ends, nothing but the step, and each row's own draw."""

from fractions import Fraction
from math import floor

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dopsd.diffusion.noise import example_keys
from dopsd.distillation.curriculum import BlockLength, LengthLimit, MaskRatio

RATIO, BLOCK = MaskRatio(minimum=0.0, maximum=0.8), BlockLength(lengths=(16, 16, 24, 24, 32, 32))
progress = st.integers(1, 900).flatmap(lambda steps: st.tuples(st.integers(0, steps), st.just(steps)))


@given(progress, st.integers(0, 99))
def test_ratios_lie_between_the_least_of_the_step_and_the_maximum(progress, seed):
    least, drawn = RATIO.least(*progress), RATIO.draw(*progress, example_keys(seed, range(50)))
    assert least == pytest.approx(0.8 * progress[0] / progress[1])
    assert least <= drawn.min()
    assert drawn.max() <= 0.8


def test_ratios_begin_at_the_minimum_and_end_at_the_maximum_and_are_uniform():
    keys = example_keys(1, range(4000))
    assert RATIO.least(0, 70) == 0
    assert RATIO.draw(70, 70, keys).eq(0.8).all()
    assert stats.kstest(RATIO.draw(35, 70, keys).numpy(), stats.uniform(0.4, 0.4).cdf).pvalue > 1e-3


def test_a_row_has_the_same_ratio_whatever_stands_beside_it():
    keys = example_keys(0, range(9))
    assert torch.equal(RATIO.draw(3, 10, keys)[4:6], RATIO.draw(3, 10, keys[4:6]))


@given(progress)
def test_blocks_are_the_floor_of_the_line_between_the_entries(progress):
    step, max_steps = progress
    entries = [*BLOCK.lengths, BLOCK.lengths[-1], BLOCK.lengths[-1]]
    place = Fraction(6 * step, max_steps)
    before, after = entries[floor(place)], entries[floor(place) + 1]
    assert BLOCK.at(step, max_steps) == floor(before + (after - before) * (place - floor(place)))


@given(st.integers(1, 900))
def test_blocks_grow_from_the_first_entry_to_the_last(max_steps):
    lengths = [BLOCK.at(step, max_steps) for step in range(max_steps + 1)]
    assert lengths[0] == 16
    assert lengths[-1] == 32
    assert lengths == sorted(lengths)


def test_blocks_at_some_steps_worked_out_by_hand():
    assert [BLOCK.at(s, 600) for s in (99, 100, 150, 199, 299, 350, 399, 400)] == [
        16,
        16,
        20,
        23,
        24,
        28,
        31,
        32,
    ]


def test_answers_grow_as_published():
    limit = LengthLimit(first=100 / 4000, growing_steps=100)
    lengths = [limit.at(step, whole=4000, block_length=4) for step in (0, 25, 50, 75, 100, 483)]
    assert lengths == [100, 396, 1244, 2508, 4000, 4000]


@given(st.sampled_from([1, 4, 8]), st.integers(1, 30), st.floats(0, 1), st.integers(0, 40))
def test_answers_grow_in_whole_blocks_up_to_the_whole(block_length, blocks, first, growing_steps):
    limit, whole = LengthLimit(first=first, growing_steps=growing_steps), blocks * block_length
    lengths = [limit.at(step, whole=whole, block_length=block_length) for step in range(growing_steps + 2)]
    assert {length % block_length for length in lengths} == {0}
    assert lengths == sorted(lengths)
    assert min(lengths) >= block_length
    assert lengths[growing_steps:] == [whole, whole]


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"minimum=0.5: must be at most maximum=0.4"):
        MaskRatio(minimum=0.5, maximum=0.4)
    for lengths in ((), (0,), (16, -1)):
        with pytest.raises(ValueError, match="lengths"):
            BlockLength(lengths=lengths)
