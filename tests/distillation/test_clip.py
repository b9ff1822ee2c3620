"""Each clip against a loop over vocabulary entries, and which of them are still divergences."""

import math

import pytest
import torch
from reference_divergence import nonnegative_terms, probabilities, random_logits, terms

from dopsd.distillation.clip import NoClip, NonnegativeClip, PointwiseClip, TokenClip
from dopsd.distillation.divergence import ForwardKL, GeneralizedJSD, Objective, ReverseKL

DIVERGENCES = {"rkl": ReverseKL(), "fkl": ForwardKL(), "jsd": GeneralizedJSD()}
every_divergence = pytest.mark.parametrize("name", DIVERGENCES)
CLIPS = {
    "none": NoClip(),
    "pointwise": PointwiseClip(maximum=0.05),
    "nonnegative": NonnegativeClip(maximum=0.05),
    "token": TokenClip(maximum=0.3),
}


def brute_force(clip: str, name: str, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    form = nonnegative_terms if clip == "nonnegative" else terms
    entries = form(name, probabilities(student), probabilities(teacher))
    rows = []
    for row in entries.tolist():
        if clip in ("pointwise", "nonnegative"):
            rows.append(sum(min(entry, 0.05) for entry in row))
        else:
            rows.append(min(sum(row), 0.3 if clip == "token" else math.inf))
    return torch.tensor(rows)


@every_divergence
@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_a_clipped_loss_is_the_sum_of_what_is_left(name, clip, scale):
    student, teacher = random_logits(6, 20, seed=8, scale=scale)
    comparison = Objective(divergence=DIVERGENCES[name], clip=CLIPS[clip]).compare(student, teacher)
    expected = brute_force(clip, name, student, teacher)
    torch.testing.assert_close(comparison.loss, expected, rtol=1e-4, atol=1e-5)
    whole = brute_force("none", name, student, teacher)
    torch.testing.assert_close(comparison.divergence, whole, rtol=1e-4, atol=1e-5)
    assert (comparison.loss <= comparison.divergence + 1e-6).all()
    form = nonnegative_terms if clip == "nonnegative" else terms
    rows = form(name, probabilities(student), probabilities(teacher)).tolist()
    entry = 0.05 if clip in ("pointwise", "nonnegative") else math.inf
    position = 0.3 if clip == "token" else math.inf
    shares = [sum(it > entry for it in row) / 20 or float(sum(row) > position) for row in rows]
    torch.testing.assert_close(comparison.clip_ratio, torch.tensor(shares))


@every_divergence
@pytest.mark.parametrize("clip", CLIPS)
def test_gradients_are_those_of_what_is_left_in_float64(name, clip):
    student, teacher = random_logits(6, 20, seed=9)
    exact = student.double().requires_grad_()
    form = nonnegative_terms if clip == "nonnegative" else terms
    entries = form(name, probabilities(exact), probabilities(teacher))
    if clip in ("pointwise", "nonnegative"):
        entries = entries.clamp(max=0.05)
    entries.sum(-1).clamp(max=0.3 if clip == "token" else math.inf).sum().backward()
    student.requires_grad_()
    Objective(divergence=DIVERGENCES[name], clip=CLIPS[clip]).compare(student, teacher).loss.sum().backward()
    torch.testing.assert_close(student.grad.double(), exact.grad, rtol=1e-3, atol=1e-5)


@every_divergence
@pytest.mark.parametrize(
    "clip", [PointwiseClip(maximum=1e9), NonnegativeClip(maximum=1e9), TokenClip(maximum=1e9)]
)
def test_a_cap_that_nothing_reaches_changes_nothing(name, clip):
    student, teacher = random_logits(6, 20)
    divergence = DIVERGENCES[name]
    actual = Objective(divergence=divergence, clip=clip).compare(student, teacher).loss
    expected = Objective(divergence=divergence, clip=NoClip()).compare(student, teacher).loss
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["rkl", "fkl"])
def test_the_pointwise_clip_can_be_negative(name):
    student, teacher = random_logits(50, 20, scale=2.0)
    loss = Objective(divergence=DIVERGENCES[name], clip=PointwiseClip()).compare(student, teacher).loss
    assert float(loss.min()) < -0.1


@every_divergence
@pytest.mark.parametrize(
    ("clip", "cap"),
    [(NonnegativeClip(), 0.05), (TokenClip(), 1.0), (NoClip(), math.inf)],
    ids=str,
)
def test_the_other_clips_are_zero_at_equality_only(name, clip, cap):
    objective = Objective(divergence=DIVERGENCES[name], clip=clip)
    for scale in (0.05, 1.0, 5.0):
        student, teacher = random_logits(50, 20, scale=scale)
        at_least = brute_force("none", name, student, teacher).clamp(max=cap)
        assert (objective.compare(student, teacher).loss >= at_least - 1e-5).all()
        equal = objective.compare(student, student.clone()).loss
        torch.testing.assert_close(equal, torch.zeros(50), rtol=0, atol=1e-6)


def test_near_the_teacher_the_pointwise_clip_points_elsewhere_than_the_nonnegative_one():
    """The minimum of the upper-only clip is not at student = teacher: a candidate cause of the collapse."""
    q = torch.tensor([[0.5, 0.3, 0.2]])
    student = torch.tensor([[0.7, 0.2, 0.1]]).log().requires_grad_()
    losses = {}
    for key, clip in {
        "pointwise": PointwiseClip(),
        "nonnegative": NonnegativeClip(),
        "none": NoClip(),
    }.items():
        student.grad = None
        loss = Objective(divergence=ReverseKL(), clip=clip).compare(student, q.log()).loss.sum()
        loss.backward()
        moved = student.detach() - 0.5 * student.grad
        losses[key] = float(Objective(divergence=ReverseKL(), clip=NoClip()).compare(moved, q.log()).loss)
    now = float(Objective(divergence=ReverseKL(), clip=NoClip()).compare(student.detach(), q.log()).loss)
    assert losses["none"] < now
    assert losses["nonnegative"] < now
    assert losses["pointwise"] > now


def test_capped_entries_and_capped_positions_give_no_gradient():
    entries = torch.tensor([[0.01, 0.2, -0.1], [0.5, 0.4, 0.3]], requires_grad=True)
    PointwiseClip(maximum=0.05).total(entries).sum().backward()
    assert entries.grad.tolist() == [[1, 0, 1], [0, 0, 0]]
    entries.grad = None
    TokenClip(maximum=1.0).total(entries).sum().backward()
    assert entries.grad.tolist() == [[1, 1, 1], [0, 0, 0]]


def test_only_the_nonnegative_clip_asks_for_nonnegative_entries():
    assert [key for key, clip in CLIPS.items() if clip.wants_nonnegative] == ["nonnegative"]


@pytest.mark.parametrize("clip", [PointwiseClip, NonnegativeClip, TokenClip])
@pytest.mark.parametrize("value", [0, -0.05, float("nan"), "high"])
def test_a_cap_that_is_not_positive_is_refused(clip, value):
    with pytest.raises(ValueError, match="maximum"):
        clip(maximum=value)
