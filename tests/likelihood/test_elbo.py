"""The lower bound against all masks, all orders, and its variance formula."""

from collections import Counter
from math import comb, exp, log

import pytest
import torch
from enumeration import (
    MASK,
    Canvas,
    finished,
    log_p_masked,
    orders,
    prompts_of,
    subsets,
    table_network,
    values,
)

from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.responses import Responses
from dopsd.diffusion.views import Views
from dopsd.likelihood.elbo import Elbo
from dopsd.likelihood.elbo_coupled import CoupledElbo
from dopsd.likelihood.likelihood import Likelihood

PROMPT, DRAWS = (1, 2), 4000
ONE = Elbo(samples=1, masks_per_count=1, per_length=False)
RESPONSES = [(2,), (0, 2), (1, 0, 2), (2, 1, 1, 0)]


def draws(likelihood: Likelihood, response: Canvas, number: int = DRAWS, counted: int | None = None) -> Views:
    """The views of the same response under many keys."""
    scored = (torch.arange(len(response)) < (counted or len(response))).expand(number, -1)
    prompts, keys = prompts_of([PROMPT] * number), example_keys(0, range(number))
    return likelihood.views(
        Responses(trajectory=finished([response] * number), scored=scored, prompts=prompts, keys=keys),
        mask_id=MASK,
    )


def weighted(network, response: Canvas) -> list[tuple[float, float, int]]:
    """(probability, (L / l) sum log p, l) of every mask."""
    length = len(response)
    return [
        (probability, length / len(hidden) * log_p_masked(network, PROMPT, response, hidden), len(hidden))
        for hidden, probability in subsets(length)
    ]


@pytest.mark.parametrize("response", RESPONSES)
def test_its_mean_is_that_over_orders_and_bounds_the_random_order_sampler(response: Canvas) -> None:
    network = table_network(3)
    mean = sum(probability * value for probability, value, _ in weighted(network, response))
    each = orders(network, PROMPT, response, range(len(response)))
    assert mean == pytest.approx(sum(each) / len(each), abs=1e-12)
    sampler = log(sum(map(exp, each)) / len(each))
    assert mean <= sampler + 1e-12
    assert len(response) == 1 or mean < sampler - 0.01


@pytest.mark.parametrize("response", RESPONSES)
def test_each_view_is_one_of_the_masks_as_often_as_it_should_be(response: Canvas) -> None:
    network, views = table_network(3), draws(ONE, response)
    length = len(response)
    exact = {
        hidden: length / len(hidden) * log_p_masked(network, PROMPT, response, hidden)
        for hidden, _ in subsets(length)
    }
    drawn = [frozenset((canvas == MASK).nonzero()[:, 0].tolist()) for canvas in views.canvas]
    expected = torch.tensor([exact[hidden] for hidden in drawn])
    torch.testing.assert_close(values(ONE, network, views, DRAWS).float(), expected)
    often = Counter(drawn)
    for hidden, probability in subsets(length):
        spread = (probability * (1 - probability) / DRAWS) ** 0.5
        assert abs(often[hidden] / DRAWS - probability) <= 4 * spread


@pytest.mark.parametrize(("samples", "masks"), [(1, 1), (2, 1), (1, 2), (4, 1), (2, 2)])
def test_the_variance_is_that_of_independent_counts_and_masks(samples: int, masks: int) -> None:
    """V[B] = V_t / n_t + V_y / (n_t n_y): V_t of the mean given the count, V_y within a count (VRPO)."""
    response, network = RESPONSES[2], table_network(3)
    table = weighted(network, response)
    length = len(response)
    mean = sum(probability * value for probability, value, _ in table)
    given = {
        count: sum(value for _, value, size in table if size == count) / comb(length, count)
        for count in range(1, length + 1)
    }
    of_count = sum((value - mean) ** 2 for value in given.values()) / length
    of_mask = sum(probability * (value - given[size]) ** 2 for probability, value, size in table)
    assert min(of_count, of_mask) > 0.1
    arm = Elbo(samples=samples, masks_per_count=masks, per_length=False)
    found = values(arm, network, draws(arm, response), DRAWS)
    expected = of_count / samples + of_mask / samples / masks
    assert float(found.mean()) == pytest.approx(mean, abs=4 * (expected / DRAWS) ** 0.5)
    assert float(found.var()) == pytest.approx(expected, rel=0.08)


@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize("samples", [1, 3])
def test_coupled_masks_have_the_same_mean(response: Canvas, samples: int) -> None:
    """Exactly: over all masks of each count from 0 to L, each with its complement."""
    network, length = table_network(3), len(response)
    arm = CoupledElbo(samples=samples, per_length=False)
    mean = sum(probability * value for probability, value, _ in weighted(network, response))
    views = draws(arm, response)
    found = values(arm, network, views, DRAWS)
    assert float(found.mean()) == pytest.approx(mean, abs=4 * float(found.std()) / DRAWS**0.5 + 1e-6)
    for row in range(20):
        mine = views[views.row == row]
        read = torch.zeros(length).index_put(
            (mine.columns[mine.is_real],), torch.tensor(1.0), accumulate=True
        )
        assert (read == samples).all()  # each pair reads each token once
        hidden = mine.is_real.sum(1)
        torch.testing.assert_close(mine.weight[:, 0], (length + 1) / (2.0 * samples * hidden))


def test_coupled_counts_are_uniform_and_spread_evenly() -> None:
    response, samples = RESPONSES[2], 4
    views = draws(CoupledElbo(samples=samples, per_length=False), response)
    sizes = views.is_real.sum(1)
    for size in (1, 2, 3):  # as first or as second mask: 2 of the 4 counts 0..3
        share = float((sizes == size).sum()) / (samples * DRAWS)
        assert share == pytest.approx(2 / 4, abs=1e-9)  # 4 samples meet each of the 4 counts once


def test_a_pair_whose_second_mask_is_empty_counts_half() -> None:
    """Where every log p is -1 the bound is exactly -L, and one pair's variance is (L-1)/2, not 0 as one mask's."""
    length = 4
    views = {arm: draws(arm, RESPONSES[3]) for arm in (ONE, CoupledElbo(samples=1, per_length=False))}
    single, pair = (values(arm, constant, of_arm, DRAWS) for arm, of_arm in views.items())
    torch.testing.assert_close(single, torch.full_like(single, -length))
    assert set(pair.round(decimals=4).tolist()) == {-(length + 1), -(length + 1) / 2}
    assert float(pair.var()) == pytest.approx((length - 1) / 2, rel=0.05)
    every_count = CoupledElbo(samples=length + 1, per_length=False)
    exact = values(every_count, constant, draws(every_count, RESPONSES[3], 200), 200)
    torch.testing.assert_close(exact, torch.full_like(exact, -length))


def constant(prompt: Canvas, canvas: Canvas) -> torch.Tensor:
    return torch.full((len(canvas), 3), -1.0, dtype=torch.float64)


@pytest.mark.parametrize("name", ["elbo", "coupled"])
def test_per_length_divides_by_the_number_of_tokens(name: str) -> None:
    network, response = table_network(3), RESPONSES[3]
    total, mean = (
        Elbo(samples=2, masks_per_count=2, per_length=per_length)
        if name == "elbo"
        else CoupledElbo(samples=2, per_length=per_length)
        for per_length in (False, True)
    )
    for counted in (3, 4):
        sums = values(total, network, draws(total, response, 20, counted), 20)
        means = values(mean, network, draws(mean, response, 20, counted), 20)
        torch.testing.assert_close(means, sums / counted, rtol=1e-6, atol=1e-6)


def test_masks_of_one_count_differ_and_samples_are_independent() -> None:
    arm = Elbo(samples=2, masks_per_count=3, per_length=False)
    views = draws(arm, RESPONSES[3], 2000)
    sizes = views.is_real.sum(1).view(-1, 2, 3)
    assert (sizes == sizes[..., :1]).all()
    first, second = sizes[..., 0].unbind(1)
    assert float((first == second).float().mean()) == pytest.approx(1 / 4, abs=0.04)
    canvas = views.canvas.view(-1, 2, 3, 4)[sizes[..., 0] == 2]
    assert float((canvas[:, 0] == canvas[:, 1]).all(1).float().mean()) == pytest.approx(1 / 6, abs=0.04)
