"""Confidence against float64, and where float32 probabilities would lose their digits."""

import math

import pytest
import torch

from dopsd.diffusion.confidence import (
    confidence,
    forbid,
    log_odds,
    log_odds_of,
    log_probability_of,
    margin,
    negative_entropy,
    sample,
)


@pytest.fixture
def logits() -> torch.Tensor:
    return 4 * torch.randn(3, 5, 11, generator=torch.Generator().manual_seed(0))


def test_log_odds_and_log_probability_are_those_of_the_softmax_entry(logits):
    tokens = torch.arange(15).reshape(3, 5) % 11
    expected = logits.double().softmax(-1).gather(-1, tokens[..., None])[..., 0]
    torch.testing.assert_close(log_odds_of(logits, tokens).double(), expected.logit(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        log_probability_of(logits, tokens).double(), expected.log(), rtol=1e-5, atol=1e-5
    )


def test_confidence_is_the_log_odds_of_the_largest_probability_or_the_largest_logit(logits):
    torch.testing.assert_close(confidence(logits), logits.softmax(-1).amax(-1).logit(), rtol=1e-5, atol=1e-5)
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
    assert log_odds_of(actual, torch.full((3, 5), 4)).eq(-torch.inf).all()


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
        assert float(margin(logits).sigmoid()[row, position]) == pytest.approx(
            first - second, rel=1e-4, abs=1e-6
        )
        assert float(negative_entropy(logits)[row, position]) == pytest.approx(-entropy, rel=1e-4, abs=1e-6)


def test_margin_and_entropy_of_certainty_and_of_ignorance():
    certain, even = torch.tensor([0.0, -torch.inf, -torch.inf]), torch.tensor([1.0, 1.0, -torch.inf])
    for dtype in (torch.float32, torch.bfloat16):
        both = torch.stack([certain, even]).to(dtype)
        assert margin(both)[0] == log_odds_of(both, torch.tensor([0, 0]))[0] == torch.inf
        assert -torch.inf < float(margin(both)[1]) < -80
        assert log_odds_of(both, torch.tensor([0, 0]))[1] == 0
        torch.testing.assert_close(negative_entropy(both), torch.tensor([0.0, -math.log(2)]))


def exact(logits: torch.Tensor, measure) -> torch.Tensor:
    """Each measure in float64, from the probabilities of all but the most likely token."""
    first, *others = logits.double().sort(-1, descending=True).values.unbind(-1)
    others = (torch.stack(others, -1) - first[..., None]).exp()  # in units of the largest probability
    rest, total = others.sum(-1), 1 + others.sum(-1)
    if measure is confidence:
        return -rest.log()
    if measure is margin:
        return (1 - others[..., 0]).log() - (rest + others[..., 0]).log()
    return -(torch.special.entr(others / total[..., None]).sum(-1) + rest.log1p() / total)


@pytest.mark.parametrize("measure", [confidence, margin, negative_entropy])
@pytest.mark.parametrize("vocabulary", [5, 126_464])
def test_positions_that_are_almost_certain_are_put_in_the_order_of_float64(measure, vocabulary):
    random = torch.Generator().manual_seed(vocabulary)
    logits = torch.randn(32, vocabulary, generator=random)
    logits[:, 3] = 30 + 20 * torch.rand(32, generator=random)
    assert (logits.softmax(-1).amax(-1) == 1).sum() > 16  # in float32 nothing would tell them apart
    found, expected = measure(logits), exact(logits, measure)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)
    assert torch.equal(found.argsort(), expected.argsort())


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9, 0.999999])
def test_a_probability_and_its_log_odds_are_told_apart_from_their_neighbours_alike(probability):
    logit = math.log(probability) - math.log1p(-probability)
    assert log_odds(probability) == pytest.approx(logit, abs=1e-12)
    for shift in (-1e-3, 1e-3):
        reached = log_odds_of(torch.tensor([[logit + shift, 0.0]]), torch.tensor([0])) >= log_odds(
            probability
        )
        assert bool(reached) == (shift > 0)


def test_only_what_is_certain_reaches_a_probability_of_one():
    logits = torch.tensor([[80.0, 0.0], [80.0, -torch.inf]])
    assert (log_odds_of(logits, torch.tensor([0, 0])) >= log_odds(1.0)).tolist() == [False, True]


def test_numbers_that_are_not_finite_are_not_hidden():
    logits = torch.tensor([[torch.nan, 1.0, 2.0]])
    assert log_odds_of(logits, torch.tensor([1])).isnan().all()
    assert log_probability_of(logits, torch.tensor([1])).isnan().all()
