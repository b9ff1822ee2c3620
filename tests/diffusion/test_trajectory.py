"""Every state is derived from two tensors: checked against loops over rows, steps and positions."""

import pytest
import torch
from fakes import EOS, EOT, MASK, random_trajectory
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from dopsd.diffusion.trajectory import NEVER, Trajectory

shapes = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 1000),
        "rows": st.integers(1, 4),
        "blocks": st.integers(1, 3),
        "block_length": st.integers(3, 5),
        "steps_per_block": st.integers(1, 3),
    }
)


@given(shapes)
def test_the_canvas_of_a_step_holds_what_was_unmasked_before_it(shape):
    trajectory = random_trajectory(**shape)
    for step in range(int(trajectory.steps.max()) + 1):
        canvas = trajectory.canvas_at(torch.full_like(trajectory.steps, step), MASK)
        for row in range(len(trajectory)):
            for place in range(canvas.shape[1]):
                seen = int(trajectory.step_map[row, place]) < step
                assert int(canvas[row, place]) == (int(trajectory.tokens[row, place]) if seen else MASK)


@given(shapes)
def test_visited_states_are_all_steps_of_all_rows_in_order(shape):
    trajectory = random_trajectory(**shape)
    states = trajectory.visited_states(MASK)
    expected = [(row, step) for row in range(len(trajectory)) for step in range(int(trajectory.steps[row]))]
    assert list(zip(states.rollout.tolist(), states.step.tolist(), strict=True)) == expected
    assert len(states) == len(expected) == int(trajectory.steps.sum())


@given(shapes)
def test_visited_states_say_what_each_step_saw_and_did(shape):
    trajectory = random_trajectory(**shape)
    states = trajectory.visited_states(MASK)
    length, block = trajectory.tokens.shape[1], trajectory.block_length
    for i in range(len(states)):
        row, step = int(states.rollout[i]), int(states.step[i])
        times = trajectory.step_map[row].tolist()
        start = step // shape["steps_per_block"] * block
        assert states.is_masked[i].tolist() == [t >= step for t in times]
        assert states.unmasked_now[i].tolist() == [t == step for t in times]
        in_block = [start <= place < start + block for place in range(length)]
        assert states.open[i].tolist() == [b and t >= step for b, t in zip(in_block, times, strict=True)]
        assert states.later[i].tolist() == [place >= start + block for place in range(length)]
        assert states.canvas[i].tolist() == [
            MASK if t >= step else int(token) for t, token in zip(times, trajectory.tokens[row], strict=True)
        ]
        assert torch.equal(states.finished[i], trajectory.tokens[row])


@given(shapes)
def test_each_step_unmasks_open_positions_and_leads_to_the_next_state(shape):
    states = random_trajectory(**shape).visited_states(MASK)
    assert not (states.unmasked_now & ~states.open).any()
    assert states.unmasked_now.any(-1).all()
    after = states.finished.where(states.unmasked_now, states.canvas)
    follows = states.rollout[1:] == states.rollout[:-1]
    assert torch.equal(after[:-1][follows], states.canvas[1:][follows])


def test_some_states_keep_all_their_fields():
    states = random_trajectory(3).visited_states(MASK)
    picked = torch.tensor([4, 0, 2])
    for rows in (picked, slice(1, 4), states.step == 1):
        some = states[rows]
        assert torch.equal(some.canvas, states.canvas[rows])
        assert torch.equal(some.open, states.open[rows])
        assert torch.equal(some.later, states.later[rows])
        assert len(some) == len(states.step[rows])


def test_no_rows_have_no_states():
    trajectory = random_trajectory(0)[torch.zeros(4, dtype=torch.bool)]
    assert len(trajectory) == len(trajectory.visited_states(MASK)) == 0


@given(st.lists(st.lists(st.sampled_from([EOS, EOT, 5, 6]), min_size=6, max_size=6), min_size=1, max_size=4))
def test_length_is_the_number_of_tokens_before_the_first_end(rows):
    tokens = torch.tensor(rows)
    trajectory = Trajectory(
        tokens=tokens,
        step_map=torch.zeros_like(tokens),
        steps=torch.ones(len(rows), dtype=int),
        block_length=3,
    )
    for end_ids in [(EOS, EOT), (EOT,)]:
        expected = [next((i for i, t in enumerate(row) if t in end_ids), 6) for row in rows]
        assert trajectory.lengths(end_ids).tolist() == expected


def test_never_is_later_than_any_step():
    assert NEVER > 10**18


def test_a_wrong_shape_is_an_error_not_a_broadcast():
    good = random_trajectory(0)
    with pytest.raises(TypeCheckError):
        Trajectory(tokens=good.tokens, step_map=good.step_map[:1], steps=good.steps, block_length=4)
    with pytest.raises(TypeCheckError):
        Trajectory(tokens=good.tokens, step_map=good.step_map, steps=good.steps[:1], block_length=4)
    with pytest.raises(TypeCheckError):
        good.canvas_at(torch.tensor([1]), MASK)
