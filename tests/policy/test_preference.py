"""VRPO's score and loss: every mask of a short answer enumerated under a network that is a table."""

import math
from itertools import combinations, product

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from dopsd.policy.preference import preference_loss, preference_score, score_variance

BETA, LENGTH, TOKENS, MASK = 0.2, 3, 2, 2
PAIR = ((0, 1, 1), (1, 0, 1))


class Table(nn.Module):
    """Logits for every canvas and position."""

    def __init__(self, seed: int, moved: float = 0.0):
        super().__init__()

        def numbers(seed: int) -> Tensor:
            random = torch.Generator().manual_seed(seed)
            return torch.randn((TOKENS + 1) ** LENGTH, LENGTH, TOKENS, generator=random, dtype=torch.float64)

        self.logits = nn.Parameter(numbers(seed) + moved * numbers(seed + 1))

    def term(self, answer: tuple[int, ...], masked: tuple[int, ...]) -> Tensor:
        """(L / l) sum over the masked positions of log p: one draw of the bound."""
        canvas = [MASK if i in masked else token for i, token in enumerate(answer)]
        row = sum(token * (TOKENS + 1) ** i for i, token in enumerate(canvas))
        log_p = self.logits[row].log_softmax(-1)
        return LENGTH / len(masked) * sum(log_p[i, answer[i]] for i in masked)


MASKS = [m for count in range(1, LENGTH + 1) for m in combinations(range(LENGTH), count)]
CHANCE = torch.tensor([1 / LENGTH / math.comb(LENGTH, len(m)) for m in MASKS], dtype=torch.float64)


def all_terms(table: Table) -> Tensor:
    """The term of each answer of the pair for each mask, which has the chance CHANCE."""
    return torch.stack([torch.stack([table.term(answer, masked) for masked in MASKS]) for answer in PAIR])


def mean_and_variance(values: Tensor, chance: Tensor) -> tuple[Tensor, Tensor]:
    mean = (values * chance).sum(-1)
    return mean, ((values - mean[..., None]).square() * chance).sum(-1)


def test_at_the_reference_shared_masks_give_a_score_of_exactly_zero_and_the_plain_gradient():
    table = Table(0)
    terms = all_terms(table)
    for chosen, refused in product(range(len(MASKS)), repeat=2):
        policy = torch.stack([terms[0, chosen], terms[1, refused]])[None]
        loss, figures = preference_loss(policy, policy.detach(), beta=BETA)
        assert figures["preference/score"] == 0
        assert figures["preference/accuracy"] == 0.5
        assert loss.item() == pytest.approx(math.log(2), rel=1e-15)
        [gradient] = torch.autograd.grad(loss, table.logits, retain_graph=True)
        [of_difference] = torch.autograd.grad(policy[0, 0] - policy[0, 1], table.logits, retain_graph=True)
        assert torch.allclose(gradient, -BETA / 2 * of_difference, atol=1e-15)


def test_independent_masks_give_a_mean_of_zero_and_twice_the_variance_of_each_answer():
    terms = all_terms(Table(0)).detach()
    draws = torch.tensor(list(product(range(len(MASKS)), repeat=4)))  # both answers, policy and reference
    policy = torch.stack([terms[0, draws[:, 0]], terms[1, draws[:, 1]]], 1)
    reference = torch.stack([terms[0, draws[:, 2]], terms[1, draws[:, 3]]], 1)
    chance = CHANCE[draws].prod(1)
    mean, variance = mean_and_variance(preference_score(policy, reference, beta=BETA), chance)
    assert abs(mean) < 1e-12
    assert variance.item() == pytest.approx(
        BETA**2 * 2 * mean_and_variance(terms, CHANCE)[1].sum().item(), rel=1e-10
    )


@pytest.mark.parametrize("moved", [0.1, 0.5, 3.0])
def test_the_estimates_of_the_variance_are_right_in_expectation_and_sharing_pays_where_draws_correlate(moved):
    policy, reference = all_terms(Table(0, moved)).detach(), all_terms(Table(0)).detach()
    draws = torch.tensor(list(product(range(len(MASKS)), repeat=2)))
    chance = CHANCE[draws].prod(1)
    shared, independent = score_variance(
        policy[:, draws].transpose(0, 1), reference[:, draws].transpose(0, 1), beta=BETA
    )
    difference = mean_and_variance(policy - reference, CHANCE)[1]
    apart = mean_and_variance(policy, CHANCE)[1] + mean_and_variance(reference, CHANCE)[1]
    assert (shared * chance).sum().item() == pytest.approx(BETA**2 * difference.sum().item() / 2, rel=1e-10)
    assert (independent * chance).sum().item() == pytest.approx(BETA**2 * apart.sum().item() / 2, rel=1e-10)
    covariance = (apart - difference) / 2
    assert bool(difference.sum() < apart.sum()) == bool(covariance.sum() > 0)
    if moved < 1:
        assert (covariance > 0).all()
        assert (shared * chance).sum() < 0.3 * (independent * chance).sum()


def test_swapping_the_answers_negates_the_score():
    random = torch.Generator().manual_seed(0)
    policy, reference = torch.randn(2, 20, 2, generator=random)
    score = preference_score(policy, reference, beta=BETA)
    assert torch.equal(preference_score(policy.flip(1), reference.flip(1), beta=BETA), -score)
    assert score.ne(0).all()


def test_loss_and_figures_are_means_over_the_pairs():
    policy = torch.tensor([[-3.0, -9.0], [-4.0, -4.0], [-900.0, 900.0], [-2.0, -5.0]])
    reference = torch.tensor([[-5.0, -5.0], [-4.0, -4.0], [-3.0, -3.0], [-3.0, -5.0]])
    score = BETA * torch.tensor([6.0, 0.0, -1800.0, 1.0], dtype=torch.float64)
    loss, figures = preference_loss(policy, reference, beta=BETA)
    assert torch.allclose(loss, -logsigmoid(score).mean())
    assert figures["preference/score"] == pytest.approx(score.mean().item())
    assert figures["preference/accuracy"] == (1 + 0.5 + 0 + 1) / 4
    assert figures["preference/chosen"] == policy[:, 0].mean()
    assert figures["preference/refused"] == policy[:, 1].mean()
