"""What the teacher is shown: exactly the promised number of the promised positions, and nothing else."""

from dataclasses import replace

import pytest
import torch
from fakes import EOS, MASK, random_trajectory
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from scipy import stats

from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.trajectory import NEVER, States
from dopsd.distillation.teacher import ARPrefixTeacher, SuffixTeacher, TeacherView

REGIONS, COUNTINGS = ("masked", "later_blocks"), ("masked", "canvas")
teachers = st.builds(
    SuffixTeacher,
    retain_ratio=st.integers(0, 100).map(lambda percent: percent / 100),
    region=st.sampled_from(REGIONS),
    counted=st.sampled_from(COUNTINGS),
)
seeds = st.integers(0, 500)


def visited(seed: int, **shape) -> States:
    return random_trajectory(seed, **shape).visited_states(MASK)


def view_of(teacher, states: States, *, seed: int = 0) -> TeacherView:
    prompts = Prompts.pad([[5] * (1 + row % 3) for row in range(10)], EOS)
    keys = example_keys(seed, range(10))
    return teacher.view(states, prompts[states.rollout], keys[states.rollout], eos_id=EOS)


def promised(teacher: SuffixTeacher, states: States, i: int) -> tuple[list[int], int]:
    """The positions of state i that may be shown, and how many of them are."""
    length = states.canvas.shape[1]
    behind = (int(states.unmasked_now[i].nonzero()[0]) // 4 + 1) * 4
    region = [
        place
        for place in range(length)
        if int(states.canvas[i, place]) == MASK and (teacher.region == "masked" or place >= behind)
    ]
    counted = len(region) if teacher.counted == "masked" else length - behind
    return region, min(int(teacher.retain_ratio * counted), len(region))


@given(teachers, seeds)
def test_revealed_has_exactly_the_promised_size_and_region(teacher, seed):
    states = visited(seed)
    view = view_of(teacher, states)
    for i in range(len(states)):
        region, size = promised(teacher, states, i)
        shown = view.revealed[i].nonzero()[:, 0].tolist()
        assert set(shown) <= set(region)
        assert len(shown) == size


@pytest.mark.parametrize("percent", range(0, 101, 3))
def test_the_size_is_that_of_plain_arithmetic_at_every_number_of_masked_positions(percent):
    length = 512
    masked = torch.ones(length + 1, length, dtype=torch.bool).tril(-1)
    index = torch.zeros(length + 1, dtype=torch.int64)
    states = States(
        rollout=index,
        step=index,
        canvas=torch.full((length + 1, length), MASK).where(masked, 5),
        finished=torch.full((length + 1, length), 5),
        step_map=torch.where(masked, NEVER, -1),
        open=masked,
        later=masked,
    )
    count = SuffixTeacher(retain_ratio=percent / 100).reveal_count(states)
    assert count.tolist() == [int(percent / 100 * number) for number in range(length + 1)]


@given(teachers, seeds)
def test_the_teacher_sees_final_tokens_where_revealed_and_the_students_canvas_elsewhere(teacher, seed):
    states = visited(seed)
    view = view_of(teacher, states)
    assert torch.equal(view.canvas[view.revealed], states.finished[view.revealed])
    assert torch.equal(view.canvas[~view.revealed], states.canvas[~view.revealed])
    assert not ((view.canvas == MASK) & view.revealed).any()


@given(seeds, st.sampled_from(REGIONS), st.sampled_from(COUNTINGS))
def test_ratio_zero_shows_nothing_and_ratio_one_the_whole_region(seed, region, counted):
    states = visited(seed)
    nothing = view_of(SuffixTeacher(retain_ratio=0, region=region, counted=counted), states)
    assert not nothing.revealed.any()
    assert torch.equal(nothing.canvas, states.canvas)
    teacher = SuffixTeacher(retain_ratio=1, region=region, counted=counted)
    everything = view_of(teacher, states)
    if region == "later_blocks" or counted == "masked":
        assert torch.equal(everything.revealed, teacher.reveal_region(states))
    if region == counted == "masked":
        assert torch.equal(everything.canvas, states.finished)


@given(seeds)
def test_later_blocks_never_touch_the_active_block_and_the_last_block_shows_nothing(seed):
    states = visited(seed)
    revealed = view_of(SuffixTeacher(retain_ratio=1, region="later_blocks"), states).revealed
    assert not (revealed & states.open).any()
    last = ~states.later.any(-1)
    assert not revealed[last].any()
    assert revealed[~last].any(-1).all()


@given(teachers, seeds, st.data())
def test_a_view_does_not_depend_on_the_company(teacher, seed, data):
    states = visited(seed)
    whole = view_of(teacher, states)
    rows = torch.tensor(data.draw(st.lists(st.integers(0, len(states) - 1), min_size=1, max_size=6)))
    some = view_of(teacher, states[rows])
    assert torch.equal(some.revealed, whole.revealed[rows])
    assert torch.equal(some.canvas, whole.canvas[rows])
    indexed = whole[rows]
    assert torch.equal(indexed.canvas, some.canvas)
    assert torch.equal(indexed.prompts.tokens, some.prompts.tokens)


def copies(count: int, states: States, i: int) -> States:
    return states[torch.full((count,), i)]


def test_revealed_positions_are_uniform_over_the_region():
    states = copies(6000, visited(1, blocks=3, block_length=4), 0)
    keys = example_keys(3, range(6000))
    prompts = Prompts.pad([[5]] * 6000, EOS)
    revealed = SuffixTeacher(retain_ratio=0.25).view(states, prompts, keys, eos_id=EOS).revealed
    assert revealed.sum(-1).unique().tolist() == [3]
    pairs = [(i, j) for i in range(12) for j in range(i)]
    together = torch.tensor([int((revealed[:, i] & revealed[:, j]).sum()) for i, j in pairs])
    assert stats.chisquare(revealed.sum(0).numpy()).pvalue > 1e-3
    assert stats.chisquare(together.numpy()).pvalue > 1e-3


@pytest.mark.parametrize("other", ["step", "attempt", "seed", "example"])
def test_revealed_positions_are_independent_of_those_of_another(other):
    count = 4000
    states = copies(count, visited(1), 0)
    later = states
    first, second = example_keys(0, range(count)), example_keys(0, range(count))
    if other == "step":
        later = replace(states, step=states.step + 1, step_map=states.step_map.clamp(max=NEVER - 1) + 1)
    elif other == "attempt":
        second = example_keys(0, range(count), attempt=1)
    elif other == "seed":
        second = example_keys(1, range(count))
    else:
        second = example_keys(0, range(1, count + 1))
    prompts, teacher = Prompts.pad([[5]] * count, EOS), SuffixTeacher(retain_ratio=0.5)
    a = teacher.view(states, prompts, first, eos_id=EOS).revealed
    b = teacher.view(later, prompts, second, eos_id=EOS).revealed
    assert stats.chi2_contingency([[int((x & y).sum()) for y in (b, ~b)] for x in (a, ~a)]).pvalue > 1e-3
    shared = (a & b).sum(-1).bincount(minlength=7).double()
    expected = torch.tensor(stats.hypergeom(12, 6, 6).pmf(range(7))) * count
    assert (
        stats.chisquare(shared[1:6].numpy(), (expected[1:6] * shared[1:6].sum() / expected[1:6].sum())).pvalue
        > 1e-3
    )


def test_the_same_key_and_step_draw_the_same_positions_again():
    states = visited(4)
    teacher = SuffixTeacher(retain_ratio=0.5)
    assert torch.equal(view_of(teacher, states).revealed, view_of(teacher, states).revealed)
    assert not torch.equal(view_of(teacher, states).revealed, view_of(teacher, states, seed=1).revealed)


@given(seeds)
def test_the_prefix_teacher_reads_the_students_canvas_and_is_shown_nothing(seed):
    states = visited(seed)
    view = view_of(ARPrefixTeacher(), states)
    assert torch.equal(view.canvas, states.canvas)
    assert not view.revealed.any()
    assert ARPrefixTeacher.reads_solution
    assert not SuffixTeacher.reads_solution


def test_no_states_have_no_views():
    states = visited(0)[torch.zeros(len(visited(0)), dtype=torch.bool)]
    for teacher in (SuffixTeacher(), ARPrefixTeacher()):
        view = view_of(teacher, states)
        assert view.revealed.shape == (0, 12)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("retain_ratio", 1.5),
        ("retain_ratio", -1),
        ("retain_ratio", float("nan")),
        ("region", "all"),
        ("rho", 0.1),
    ],
)
def test_bad_options_are_refused_by_name(key, value):
    with pytest.raises(ValueError, match=key):
        SuffixTeacher(**{key: value})


def test_a_wrong_shape_is_an_error_not_a_broadcast():
    states = visited(0)
    prompts = Prompts.pad([[5]] * len(states), EOS)
    with pytest.raises(AssertionError):
        SuffixTeacher().view(states, prompts, example_keys(0, [1]), eos_id=EOS)
    with pytest.raises(TypeCheckError):
        TeacherView(prompts=prompts, canvas=states.canvas, revealed=states.is_masked[:1])
