"""K_t: as many positions as the step unmasked, of those the teacher was not shown, against brute force."""

import pytest
import torch
from fakes import EOS, MASK, VOCABULARY, denoiser_of, random_trajectory
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.trajectory import States
from dopsd.distillation.supervision import StudentRanked, TeacherRanked
from dopsd.distillation.targets import Targets
from dopsd.distillation.teacher import TeacherView


@st.composite
def situations(draw) -> tuple[States, torch.Tensor, torch.Tensor]:
    """Visited states, any masked positions revealed, and random teacher logits for the whole canvas."""
    seed = draw(st.integers(0, 500))
    steps = draw(st.sampled_from([1, 2, 3]))
    states = random_trajectory(seed, rows=3, block_length=4, steps_per_block=steps).visited_states(MASK)
    random = torch.Generator().manual_seed(seed)
    share = draw(st.sampled_from([0.0, 0.3, 0.8, 1.0]))
    revealed = states.is_masked & (torch.rand(states.canvas.shape, generator=random) < share)
    logits = 3 * torch.randn(*states.canvas.shape, VOCABULARY, generator=random)
    return states, revealed, logits


def supervised(supervision, situation) -> list[list[int]]:
    """K_t of each state as response columns, in the order given."""
    states, revealed, logits = situation
    prompts = Prompts.pad([[4]] * len(states), EOS)
    view = TeacherView(prompts=prompts, canvas=states.canvas, revealed=revealed)
    places = torch.arange(len(states))[:, None]
    teacher = denoiser_of(lambda canvas, attention_mask, at: logits[places, at - 1])
    found = Targets.of(teacher, states, view, supervision, mask_id=MASK)
    return [row[real].tolist() for row, real in zip(found.columns, found.is_real, strict=True)]


def available(states, revealed, i: int) -> list[int]:
    start = int(states.unmasked_now[i].nonzero()[0]) // 4 * 4
    return [
        p for p in range(start, start + 4) if int(states.canvas[i, p]) == MASK and not bool(revealed[i, p])
    ]


@given(situations(), st.sampled_from(["probability", "max_logit"]))
def test_teacher_ranked_positions_are_the_most_confident_available_ones(situation, measure):
    states, revealed, logits = situation
    writable = logits.double().index_fill(-1, torch.tensor([MASK]), -torch.inf)
    confidence = writable.softmax(-1).amax(-1) if measure == "probability" else logits.amax(-1)
    actual = supervised(TeacherRanked(measure=measure), situation)
    for i, columns in enumerate(actual):
        left = available(states, revealed, i)
        size = min(int(states.unmasked_now[i].sum()), len(left))
        best = sorted(left, key=lambda place, i=i: -float(confidence[i, place]))[:size]
        assert columns == sorted(best)


@given(situations())
def test_student_ranked_positions_are_those_unmasked_and_not_revealed(situation):
    states, revealed, _ = situation
    for i, columns in enumerate(supervised(StudentRanked(), situation)):
        unmasked = states.unmasked_now[i].nonzero()[:, 0].tolist()
        assert columns == [place for place in unmasked if not bool(revealed[i, place])]


@pytest.mark.parametrize("supervision", [TeacherRanked(), StudentRanked()], ids=["teacher", "student"])
@given(situation=situations())
def test_supervised_positions_are_open_unrevealed_and_as_many_as_counted(supervision, situation):
    states, revealed, _ = situation
    columns = supervised(supervision, situation)
    count = supervision.count(states, revealed)
    assert [len(row) for row in columns] == count.tolist()
    assert (count <= states.unmasked_now.sum(-1)).all()
    for i, row in enumerate(columns):
        assert len(set(row)) == len(row)
        assert set(row) <= set(available(states, revealed, i))


@pytest.mark.parametrize("supervision", [TeacherRanked(), StudentRanked()], ids=["teacher", "student"])
def test_without_revealing_a_trajectory_supervises_each_of_its_positions_as_often_as_steps_unmask(
    supervision,
):
    """Eq. 10: the sizes of K_t add up to L."""
    trajectory = random_trajectory(5, rows=6)
    states = trajectory.visited_states(MASK)
    nothing = torch.zeros_like(states.is_masked)
    count = supervision.count(states, nothing)
    for row in range(6):
        assert int(count[states.rollout == row].sum()) == int((trajectory.step_map[row] < 10**9).sum())


@given(situations(), st.data())
def test_supervision_of_a_state_does_not_depend_on_the_company(situation, data):
    states, revealed, logits = situation
    rows = torch.tensor(data.draw(st.lists(st.integers(0, len(states) - 1), min_size=1, max_size=5)))
    for supervision in (TeacherRanked(), StudentRanked()):
        whole = supervised(supervision, situation)
        some = supervised(supervision, (states[rows], revealed[rows], logits[rows]))
        assert some == [whole[i] for i in rows.tolist()]


def test_the_two_rankings_differ():
    states = random_trajectory(7).visited_states(MASK)
    logits = torch.randn(*states.canvas.shape, VOCABULARY, generator=torch.Generator().manual_seed(0))
    situation = (states, torch.zeros_like(states.is_masked), logits)
    assert supervised(TeacherRanked(), situation) != supervised(StudentRanked(), situation)


@pytest.mark.parametrize(
    ("measure", "first"), [("probability", [2, 0, 3, 1]), ("max_logit", [1, 3, 0, 2])], ids=["paper", "code"]
)
def test_the_mask_token_has_no_part_in_the_probabilities_that_rank(measure, first):
    """Without [MASK] the odds of token 5 at the four places are 4, 2, 8 and 3 times e^2 (to one other token)."""
    logits = torch.full((4, VOCABULARY), -40.0)
    logits[:, 5] = torch.tensor([4.0, 2.0, 8.0, 3.0]).log() + 2
    logits[:, 6] = 0
    logits[:, MASK] = torch.tensor([6.0, 9.0, 5.0, 7.0])
    states = random_trajectory(1, rows=1, blocks=1, steps_per_block=4).visited_states(MASK)[:1]
    prompts = Prompts.pad([[4]], EOS)
    view = TeacherView(prompts=prompts, canvas=states.canvas, revealed=torch.zeros_like(states.is_masked))
    found = []
    while len(found) < 4:
        teacher = denoiser_of(lambda canvas, attention_mask, at: logits[at - 1])
        targets = Targets.of(teacher, states, view, TeacherRanked(measure=measure), mask_id=MASK)
        found += targets.columns[0].tolist()
        assert torch.equal(targets.logits[0, 0], logits[found[-1]].double())  # the loss sees all of them
        view.revealed[0, found[-1]] = True
    assert found == first


def test_a_wrong_shape_is_an_error_not_a_broadcast():
    states = random_trajectory(0).visited_states(MASK)
    with pytest.raises(TypeCheckError):
        TeacherRanked().count(states, states.is_masked[:1])


def test_an_unknown_measure_is_refused_by_name():
    with pytest.raises(ValueError, match="measure"):
        TeacherRanked(measure="entropy")
