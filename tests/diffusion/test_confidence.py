"""Confidence against torch's own softmax."""

import math

import pytest
import torch

from dopsd.diffusion.confidence import confidence, forbid, margin, negative_entropy, probability_of, sample


@pytest.fixture
def logits() -> torch.Tensor:
    return 4 * torch.randn(3, 5, 11, generator=torch.Generator().manual_seed(0))


def test_probability_of_is_the_softmax_entry(logits):
    tokens = torch.arange(15).reshape(3, 5) % 11
    expected = logits.double().softmax(-1).gather(-1, tokens[..., None])[..., 0]
    torch.testing.assert_close(probability_of(logits, tokens).double(), expected, rtol=1e-5, atol=1e-8)


def test_confidence_is_the_largest_probability_or_the_largest_logit(logits):
    torch.testing.assert_close(confidence(logits), logits.softmax(-1).amax(-1))
    assert torch.equal(confidence(logits, "max_logit"), logits.amax(-1))


def test_the_two_measures_rank_differently(logits):
    shifted = logits + torch.tensor([0.0, 50.0, 0.0, 0.0, 0.0])[:, None]
    torch.testing.assert_close(confidence(shifted), confidence(logits), rtol=1e-4, atol=1e-5)
    assert (confidence(shifted, "max_logit").argmax(-1) == 1).all()


def test_low_precision_logits_are_normalised_in_float32(logits):
    low = logits.bfloat16()
    for measure in ("probability", "max_logit"):
        assert confidence(low, measure).dtype == torch.float32
        assert torch.equal(confidence(low, measure), confidence(low.float(), measure))


def test_a_forbidden_token_has_probability_zero_and_the_others_share_the_rest(logits):
    expected = logits.double().softmax(-1)
    expected[..., 4] = 0
    expected = expected / expected.sum(-1, keepdim=True)
    actual = forbid(logits.clone(), 4)
    torch.testing.assert_close(actual.double().softmax(-1), expected)
    assert probability_of(actual, torch.full((3, 5), 4)).eq(0).all()


@pytest.mark.parametrize("temperature", [0.05, 0.9, 3.0])
def test_a_sample_is_where_the_distribution_function_passes_the_number(logits, temperature):
    numbers = torch.rand(3, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    drawn = sample(logits, temperature, numbers)
    for place in ((row, column) for row in range(3) for column in range(5)):
        passed = (logits[place].double() / temperature).softmax(-1).cumsum(-1).tolist()
        token = int(drawn[place])
        assert passed[token] > float(numbers[place]) - 1e-12
        assert token == 0 or passed[token - 1] <= float(numbers[place]) + 1e-12


@pytest.mark.parametrize("number", [2.0**-53, 1 - 2.0**-53])
def test_the_ends_of_the_unit_interval_draw_possible_tokens(number):
    logits = torch.tensor([-torch.inf, 2.0, -200.0, 1.0, -torch.inf, -900.0])
    token = sample(logits, 1.0, torch.tensor(number, dtype=torch.float64))
    assert int(token) == (1 if number < 0.5 else 3)


def test_margin_and_entropy_are_those_of_the_distribution(logits):
    logits = forbid(logits, 4)
    for row, position in [(r, p) for r in range(3) for p in range(5)]:
        weights = [math.exp(x) for x in logits[row, position].double().tolist()]
        first, second, *rest = sorted((w / sum(weights) for w in weights), reverse=True)
        entropy = -sum(p * math.log(p) for p in [first, second, *rest] if p > 0)
        assert float(margin(logits)[row, position]) == pytest.approx(first - second, rel=1e-4, abs=1e-6)
        assert float(negative_entropy(logits)[row, position]) == pytest.approx(-entropy, rel=1e-4, abs=1e-6)


def test_margin_and_entropy_of_certainty_and_of_ignorance():
    certain, even = torch.tensor([0.0, -torch.inf, -torch.inf]), torch.tensor([1.0, 1.0, -torch.inf])
    for dtype in (torch.float32, torch.bfloat16):
        both = torch.stack([certain, even]).to(dtype)
        torch.testing.assert_close(margin(both), torch.tensor([1.0, 0.0]))
        torch.testing.assert_close(negative_entropy(both), torch.tensor([0.0, -math.log(2)]))
