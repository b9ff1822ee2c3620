"""Divergences against torch.distributions, scipy and float64 sums; gradients against autograd in float64."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from reference_divergence import nonnegative_terms, probabilities, random_logits, terms
from scipy.spatial.distance import jensenshannon
from torch.distributions import Categorical, kl_divergence

from dopsd.distillation.clip import NoClip
from dopsd.distillation.divergence import ForwardKL, GeneralizedJSD, Objective, ReverseKL, top_k_overlap

ARMS = {
    "rkl": ("rkl", 0.5, ReverseKL()),
    "fkl": ("fkl", 0.5, ForwardKL()),
    "jsd": ("jsd", 0.5, GeneralizedJSD()),
    "jsd 0.1": ("jsd", 0.1, GeneralizedJSD(beta=0.1)),
    "jsd 0.9": ("jsd", 0.9, GeneralizedJSD(beta=0.9)),
}
every_arm = pytest.mark.parametrize(("name", "beta", "divergence"), ARMS.values(), ids=ARMS.keys())
CLOSE = {"rtol": 1e-4, "atol": 1e-6}


def plain(divergence, **options) -> Objective:
    return Objective(divergence=divergence, clip=NoClip(), **options)


def as_double(tensor: torch.Tensor) -> torch.Tensor:
    assert tensor.dtype == torch.float32
    return tensor.double()


def test_kl_divergences_are_those_of_torch_distributions():
    student, teacher = random_logits(3, 4, 50)
    p, q = Categorical(logits=student.double()), Categorical(logits=teacher.double())
    reverse = as_double(plain(ReverseKL()).compare(student, teacher).loss)
    forward = as_double(plain(ForwardKL()).compare(student, teacher).loss)
    torch.testing.assert_close(reverse, kl_divergence(p, q), **CLOSE)
    torch.testing.assert_close(forward, kl_divergence(q, p), **CLOSE)


def test_the_even_jsd_is_that_of_scipy():
    student, teacher = random_logits(6, 50, seed=1)
    expected = jensenshannon(probabilities(student), probabilities(teacher), axis=-1) ** 2
    actual = as_double(plain(GeneralizedJSD(beta=0.5)).compare(student, teacher).loss)
    torch.testing.assert_close(actual, torch.tensor(expected), **CLOSE)


@every_arm
@pytest.mark.parametrize("seed", range(3))
def test_a_divergence_is_the_sum_of_its_entries(name, beta, divergence, seed):
    student, teacher = random_logits(2, 3, 40, seed=seed)
    expected = terms(name, probabilities(student), probabilities(teacher), beta).sum(-1)
    comparison = plain(divergence).compare(student, teacher)
    torch.testing.assert_close(as_double(comparison.loss), expected, **CLOSE)
    assert torch.equal(comparison.divergence, comparison.loss)
    assert (comparison.loss >= 0).all()


@every_arm
def test_the_nonnegative_form_has_the_same_sum_and_no_negative_entry(name, beta, divergence):
    student, teacher = (x.log_softmax(-1) for x in random_logits(5, 60, seed=2))
    plain_entries = divergence.contributions(student, teacher, nonnegative=False)
    entries = divergence.contributions(student, teacher, nonnegative=True)
    p, q = student.double().exp(), teacher.double().exp()
    torch.testing.assert_close(entries.double(), nonnegative_terms(name, p, q, beta), rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(entries.sum(-1), plain_entries.sum(-1), **CLOSE)
    assert float(entries.min()) > -1e-6
    assert float(plain_entries.min()) < -1e-3 or name == "jsd"


@every_arm
def test_equal_distributions_have_divergence_zero_and_gradient_zero(name, beta, divergence):
    student, _ = random_logits(4, 30)
    shifted = student + torch.tensor([[3.0], [0.0], [-2.0], [9.0]])
    student.requires_grad_()
    loss = plain(divergence).compare(student, shifted).loss
    loss.sum().backward()
    torch.testing.assert_close(loss, torch.zeros(4), rtol=0, atol=1e-6)
    torch.testing.assert_close(student.grad, torch.zeros(4, 30), rtol=0, atol=1e-6)


@every_arm
@pytest.mark.parametrize("vocab_top_k", [None, 7])
def test_gradients_are_those_of_the_sum_in_float64(name, beta, divergence, vocab_top_k):
    student, teacher = random_logits(3, 25, seed=3)
    exact = student.double().requires_grad_()
    support = teacher.topk(vocab_top_k or 25).indices
    p, q = (probabilities(x.gather(-1, support)) for x in (exact, teacher))
    terms(name, p, q, beta).sum().backward()
    student.requires_grad_()
    plain(divergence, vocab_top_k=vocab_top_k).compare(student, teacher).loss.sum().backward()
    torch.testing.assert_close(student.grad.double(), exact.grad, rtol=1e-3, atol=1e-5)


@every_arm
def test_gradients_are_finite_differences(name, beta, divergence):
    student, teacher = random_logits(1, 8, seed=4, scale=1.0)
    q = probabilities(teacher)
    student.requires_grad_()
    plain(divergence).compare(student, teacher).loss.sum().backward()
    for entry in range(8):
        step = torch.zeros(1, 8, dtype=torch.float64)
        step[0, entry] = 1e-5
        up, down = (terms(name, probabilities(student.detach() + s), q, beta).sum() for s in (step, -step))
        assert float(student.grad[0, entry]) == pytest.approx(float(up - down) / 2e-5, rel=1e-3, abs=1e-5)


@every_arm
def test_only_the_students_logits_get_a_gradient(name, beta, divergence):
    student, teacher = (x.requires_grad_() for x in random_logits(3, 9))
    comparison = plain(divergence).compare(student, teacher)
    assert comparison.loss.requires_grad
    for logged in (comparison.divergence, comparison.top_k_overlap, comparison.student_entropy):
        assert not logged.requires_grad
    comparison.loss.sum().backward()
    assert teacher.grad is None


@every_arm
def test_a_token_that_neither_allows_is_as_if_it_were_not_there(name, beta, divergence):
    student, teacher = random_logits(3, 12, seed=5)
    without = [torch.cat([x[:, :4], x[:, 5:]], 1) for x in (student, teacher)]
    student[:, 4] = teacher[:, 4] = -torch.inf
    student.requires_grad_()
    loss = plain(divergence).compare(student, teacher).loss
    torch.testing.assert_close(loss, plain(divergence).compare(*without).loss, **CLOSE)
    loss.sum().backward()
    assert student.grad.isfinite().all()
    assert student.grad[:, 4].eq(0).all()


@pytest.mark.parametrize(
    ("divergence", "who"),
    [
        (ReverseKL(), "student"),
        (ForwardKL(), "teacher"),
        (GeneralizedJSD(), "student"),
        (GeneralizedJSD(), "teacher"),
    ],
)
def test_a_token_that_only_the_averaged_side_excludes_gives_a_finite_loss_and_gradient(divergence, who):
    student, teacher = random_logits(3, 12, seed=6)
    (student if who == "student" else teacher)[:, 4] = -torch.inf
    student.requires_grad_()
    for nonnegative in (False, True):
        entries = divergence.contributions(
            student.log_softmax(-1), teacher.log_softmax(-1), nonnegative=nonnegative
        )
        student.grad = None
        entries.sum().backward()
        assert entries.isfinite().all()
        assert student.grad.isfinite().all()


@every_arm
def test_vanishing_probabilities_stay_finite(name, beta, divergence):
    student = torch.tensor([[0.0, -200.0, -1e4, 5.0]], requires_grad=True)
    teacher = torch.tensor([[3.0, -1e4, -200.0, 0.0]])
    loss = plain(divergence).compare(student, teacher).loss
    loss.sum().backward()
    assert loss.isfinite().all()
    assert student.grad.isfinite().all()


@every_arm
def test_low_precision_logits_are_compared_in_float32(name, beta, divergence):
    student, teacher = (x.bfloat16() for x in random_logits(4, 60))
    for options in ({}, {"vocab_top_k": 9}):
        low = plain(divergence, **options).compare(student, teacher)
        full = plain(divergence, **options).compare(student.float(), teacher.float())
        for key, value in low._asdict().items():
            assert value.dtype == torch.float32
            assert torch.equal(value, getattr(full, key))


@every_arm
@pytest.mark.parametrize("k", [1, 5, 12, 100])
def test_vocab_top_k_renormalises_both_over_the_teachers_largest_entries(name, beta, divergence, k):
    student, teacher = random_logits(2, 3, 12, seed=7)
    actual = plain(divergence, vocab_top_k=k).compare(student, teacher).loss
    for row in range(2):
        for position in range(3):
            kept = sorted(range(12), key=lambda v: -float(teacher[row, position, v]))[:k]
            p, q = (probabilities(x[row, position])[kept] for x in (student, teacher))
            expected = terms(name, p / p.sum(), q / q.sum(), beta).sum()
            assert float(actual[row, position]) == pytest.approx(float(expected), rel=1e-4, abs=1e-6)


@every_arm
@pytest.mark.parametrize("k", [1, 5, 12, 100])
def test_entries_that_are_not_renormalised_are_those_of_the_whole_vocabulary(name, beta, divergence, k):
    student, teacher = random_logits(2, 3, 12, seed=7)
    actual = plain(divergence, vocab_top_k=k, renormalise=False).compare(student, teacher).loss
    kept = teacher.topk(min(k, 12)).indices
    entries = terms(name, probabilities(student), probabilities(teacher), beta)
    torch.testing.assert_close(as_double(actual), entries.gather(-1, kept).sum(-1), **CLOSE)
    renormalised = plain(divergence, vocab_top_k=k).compare(student, teacher).loss
    assert torch.equal(actual, renormalised) == (k >= 12)


def test_entropy_is_that_of_torch_distributions():
    student, teacher = random_logits(4, 40)
    entropy = plain(ReverseKL()).compare(student, teacher).student_entropy
    torch.testing.assert_close(entropy.double(), Categorical(logits=student.double()).entropy(), **CLOSE)


@given(st.integers(0, 500), st.sampled_from([1, 3, 10, 40]))
def test_top_k_overlap_is_the_share_of_common_elements(seed, k):
    student, teacher = random_logits(2, 3, 10, seed=seed)
    actual = top_k_overlap(student, teacher, k)
    for row in range(2):
        for position in range(3):
            best = [
                set(sorted(range(10), key=lambda v, x=x: -float(x[row, position, v]))[:k])
                for x in (student, teacher)
            ]
            expected = len(best[0] & best[1]) / min(k, 10)
            assert float(actual[row, position]) == pytest.approx(expected)


def test_top_k_overlap_is_one_with_oneself_and_zero_with_the_opposite():
    student, _ = random_logits(5, 40)
    assert top_k_overlap(student, student, 20).eq(1).all()
    assert top_k_overlap(student, -student, 20).eq(0).all()


@pytest.mark.parametrize(
    ("key", "value"),
    [("vocab_top_k", 0), ("overlap_top_k", 0), ("divergence", 3), ("clip", None), ("topk", 20)],
)
def test_bad_options_are_refused_by_name(key, value):
    with pytest.raises(ValueError, match=key):
        Objective(**{"divergence": ReverseKL(), "clip": NoClip(), key: value})


@pytest.mark.parametrize("beta", [0, 1, -0.1, float("nan")])
def test_a_beta_outside_the_open_interval_is_refused(beta):
    with pytest.raises(ValueError, match="beta"):
        GeneralizedJSD(beta=beta)


def test_a_wrong_shape_is_an_error_not_a_broadcast():
    student, teacher = random_logits(2, 3, 10)
    for wrong in (teacher[:1], teacher[:, :1], teacher[0], teacher[..., :1]):
        with pytest.raises(TypeCheckError):
            plain(ReverseKL()).compare(student, wrong)
