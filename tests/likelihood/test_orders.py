"""Likelihoods that are exact for a sampler: left to right, and along the rollout's own states."""

from itertools import permutations, product
from math import prod

import pytest
import torch
from enumeration import (
    MASK,
    TOKENS,
    Canvas,
    all_responses,
    finished,
    masked,
    prompts_of,
    table_network,
    values,
)

from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.responses import Responses
from dopsd.diffusion.trajectory import GIVEN
from dopsd.likelihood.exact_order import ExactOrder
from dopsd.likelihood.likelihood import Likelihood
from dopsd.likelihood.mean_field import MeanField
from dopsd.likelihood.trajectory import TrajectoryLikelihood

PROMPT = (2, 1)
Outcomes = dict[tuple[Canvas, Canvas], float]
"""The probability of every finished canvas and unmasking order (its step map)."""


def totals(
    likelihood: Likelihood, network, responses: list[Canvas], step_maps: list[Canvas] | None = None
) -> torch.Tensor:
    """The sum over tokens of each response's value."""
    rows = len(responses)
    views = likelihood.views(
        Responses(
            trajectory=finished(responses, step_maps),
            scored=torch.ones(rows, len(responses[0])).bool(),
            prompts=prompts_of([PROMPT] * rows),
            keys=example_keys(0, range(rows)),
        ),
        mask_id=MASK,
    )
    return values(likelihood, network, views, rows).sum(1)


def chain(network, response: Canvas) -> float:
    """log p by the chain rule from left to right."""
    length = len(response)
    return sum(
        float(network(PROMPT, masked(response, frozenset(range(i, length))))[i, response[i]])
        for i in range(length)
    )


@pytest.mark.parametrize("length", [1, 2, 3])
def test_exact_order_is_the_chain_rule_and_sums_to_one(length: int) -> None:
    network, responses = table_network(7), all_responses(length)
    found = totals(ExactOrder(), network, responses)
    expected = torch.tensor([chain(network, response) for response in responses], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert float(found.exp().sum()) == pytest.approx(1, abs=1e-12)


def outcomes(network, length: int, order: str) -> Outcomes:
    """One token a step, chosen as the sampler does it: every proposal of every step is followed."""
    found: Outcomes = {}

    def follow(canvas: Canvas, step_map: Canvas, step: int, probability: float) -> None:
        hidden = [i for i in range(length) if canvas[i] == MASK]
        if not hidden:
            found[canvas, step_map] = found.get((canvas, step_map), 0.0) + probability
            return
        table = network(PROMPT, canvas).exp()
        for tokens in product(range(TOKENS), repeat=len(hidden)):
            proposal = dict(zip(hidden, tokens, strict=True))
            drawn = prod(float(table[i, token]) for i, token in proposal.items())
            for place, share in choices(table, proposal, order):
                follow(
                    (*canvas[:place], proposal[place], *canvas[place + 1 :]),
                    (*step_map[:place], step, *step_map[place + 1 :]),
                    step + 1,
                    probability * drawn * share,
                )

    follow((MASK,) * length, (0,) * length, 0, 1.0)
    return found


def choices(table: torch.Tensor, proposal: dict[int, int], order: str) -> list[tuple[int, float]]:
    """The position that keeps its proposal, or each of them with its probability."""
    if order == "random":
        return [(place, 1 / len(proposal)) for place in proposal]
    sure = {
        "low_confidence": lambda i: float(table[i, proposal[i]]),
        "entropy": lambda i: -float(torch.special.entr(table[i]).sum()),
        "margin": lambda i: float(table[i].topk(2).values.diff().neg()),
    }[order]
    return [(max(proposal, key=sure), 1.0)]


@pytest.mark.parametrize("order", ["random", "entropy", "margin", "low_confidence"])
def test_the_trajectorys_likelihood_is_a_probability_where_draws_do_not_choose_the_order(order: str) -> None:
    length, network = 3, table_network(11)
    true = outcomes(network, length, order)
    assert sum(true.values()) == pytest.approx(1, abs=1e-12)
    responses, step_maps = zip(*true, strict=True)
    found = totals(TrajectoryLikelihood(), network, list(responses), list(step_maps)).exp()
    exact = torch.tensor(list(true.values()), dtype=torch.float64)
    if order == "low_confidence":
        assert abs(float(found.sum()) - 1) > 0.1
        assert not torch.allclose(found, exact, atol=1e-3)
        return
    of_the_order = 1 / len(list(permutations(range(length)))) if order == "random" else 1.0
    torch.testing.assert_close(found * of_the_order, exact, rtol=1e-10, atol=1e-12)
    assert float(found.sum()) * of_the_order == pytest.approx(1, abs=1e-12)


def test_left_to_right_the_trajectory_is_the_exact_order() -> None:
    network, responses = table_network(7), all_responses(3)
    exact, along = (totals(arm, network, responses) for arm in (ExactOrder(), TrajectoryLikelihood()))
    assert torch.equal(exact, along)


def test_in_one_step_the_trajectory_is_the_mean_field() -> None:
    network, responses = table_network(7), all_responses(3)
    at_once = totals(TrajectoryLikelihood(), network, responses, [(0, 0, 0)] * len(responses))
    assert torch.equal(at_once, totals(MeanField(prompt_mask=0.0), network, responses))


def test_a_steps_tokens_share_a_view_and_what_was_given_is_seen_and_not_scored() -> None:
    trajectory = finished([(2, 0, 1, 1)], [(1, GIVEN, 0, 0)])
    views = TrajectoryLikelihood().views(
        Responses(
            trajectory=trajectory,
            scored=torch.ones(1, 4).bool(),
            prompts=prompts_of([PROMPT]),
            keys=example_keys(0, [0]),
        ),
        mask_id=MASK,
    )
    assert views.canvas.tolist() == [[MASK, 0, MASK, MASK], [MASK, 0, 1, 1]]
    read = [row[real].tolist() for row, real in zip(views.columns, views.is_real, strict=True)]
    assert read == [[2, 3], [0]]
