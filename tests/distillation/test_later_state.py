"""The trajectory teacher sees the state some steps later; its states are chosen by how much of them is masked."""

from dataclasses import replace

import pytest
import torch
from fakes import EOS, MASK, random_trajectory
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.trajectory import NEVER, States, Trajectory
from dopsd.distillation.later_state import LaterStateTeacher, StateChoice
from dopsd.distillation.teacher import TeacherView

seeds = st.integers(0, 500)


def states_of(trajectory: Trajectory) -> States:
    return trajectory.visited_states(MASK)


def view_of(gap, states: States) -> TeacherView:
    prompts = Prompts.pad([[5]] * len(states), EOS)
    return LaterStateTeacher(gap=gap).view(states, prompts, example_keys(0, range(len(states))), eos_id=EOS)


@given(seeds, st.integers(1, 12))
def test_the_canvas_is_that_of_the_later_step_and_revealed_is_what_came_between(seed, gap):
    trajectory = random_trajectory(seed)
    states = states_of(trajectory)
    view = view_of(gap, states)
    later = trajectory[states.rollout].canvas_at((states.step + gap), MASK)
    assert torch.equal(view.canvas, later)
    assert torch.equal(view.revealed, (states.canvas == MASK) & (later != MASK))
    honest = states.is_masked & ~view.revealed
    assert torch.equal(honest, view.canvas == MASK)


@given(seeds)
def test_a_gap_beyond_the_last_step_is_the_final_canvas(seed):
    trajectory = random_trajectory(seed)
    states = states_of(trajectory)
    final, beyond = view_of("final", states), view_of(int(trajectory.steps.max()), states)
    assert torch.equal(final.canvas, beyond.canvas)
    assert torch.equal(final.revealed, beyond.revealed)
    filled = trajectory.step_map[states.rollout] != NEVER
    assert torch.equal(final.canvas, states.finished.where(filled, MASK))


def valid_of(states: States, seed: int) -> torch.Tensor:
    lengths = torch.randint(1, 13, (4,), generator=torch.Generator().manual_seed(seed))
    return torch.arange(12) < lengths[states.rollout][:, None]


@given(seeds, st.sampled_from(["least", "most", "random"]), st.sampled_from([0.0, 0.5, 0.9]))
def test_one_state_of_each_rollout_that_has_enough_masks(seed, pick, masked_share):
    states = states_of(random_trajectory(seed, steps_per_block=4))
    valid = valid_of(states, seed)
    keys = example_keys(seed, range(4))[states.rollout]
    rows = StateChoice(pick=pick, masked_share=masked_share).rows(states, valid, keys).tolist()
    shares = [
        sum(c == MASK for c, v in zip(canvas, is_valid, strict=True) if v) / sum(is_valid)
        for canvas, is_valid in zip(states.canvas.tolist(), valid.tolist(), strict=True)
    ]
    allowed = {}
    for row, share in enumerate(shares):
        if share > masked_share:
            allowed.setdefault(int(states.rollout[row]), []).append(row)
    assert [int(states.rollout[row]) for row in rows] == sorted(allowed)
    for row in rows:
        candidates = allowed[int(states.rollout[row])]
        assert row in candidates
        wanted = {"least": min, "most": max}.get(pick)
        if wanted:
            best = wanted(shares[i] for i in candidates)
            assert row == next(i for i in candidates if shares[i] == best)


def test_a_random_state_is_any_of_them_and_does_not_depend_on_the_batch():
    states = states_of(random_trajectory(0, rows=1, steps_per_block=4))
    number, rollouts = len(states), 1500
    many = states[torch.arange(number).repeat(rollouts)]
    rollout = torch.arange(rollouts).repeat_interleave(number)
    many = replace(many, rollout=rollout)
    keys, valid = example_keys(0, range(rollouts))[rollout], torch.ones_like(many.is_masked)
    choice = StateChoice(pick="random", masked_share=0.0)
    rows = choice.rows(many, valid, keys)
    counts = many.step[rows].bincount(minlength=number)
    assert number > 5
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3
    beside = slice(number * 700, number * 702)
    alone = choice.rows(many[beside], valid[beside], keys[beside])
    assert torch.equal(alone + number * 700, rows[700:702])


def test_a_gap_is_at_least_one_step():
    with pytest.raises(ValueError, match="gap"):
        LaterStateTeacher(gap=0)
