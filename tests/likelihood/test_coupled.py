"""DiffuCoder's three views against its formula."""

import pytest
import torch
from enumeration import MASK, finished, masked, prompts_of, table_network, values

from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.responses import Responses
from dopsd.likelihood.coupled import Coupled

PROMPT, RESPONSE, ROWS, ANSWER = (1, 2), (2, 1, 0, 1, 0, 2), 400, 5
ARM = Coupled(lowest_ratio=0.2, highest_ratio=0.8)
VIEWS = ARM.views(
    Responses(
        trajectory=finished([RESPONSE] * ROWS),
        scored=(torch.arange(6) < ANSWER).expand(ROWS, -1),
        prompts=prompts_of([PROMPT] * ROWS),
        keys=example_keys(0, range(ROWS)),
    ),
    mask_id=MASK,
)


def pair_of(row: int) -> tuple[list[set[int]], list[float]]:
    """Where a row's views behind the first are read, and what they weigh."""
    mine = VIEWS[VIEWS.row == row]
    read = [set(c[real].tolist()) for c, real in zip(mine.columns, mine.is_real, strict=True)]
    assert read[0] == set(range(ANSWER))
    assert float(mine.weight[0, 0]) == 0.5
    return read[1:], mine.weight[1:, 0].tolist()


def test_the_pair_covers_each_scored_token_exactly_once() -> None:
    for row in range(ROWS):
        read, weights = pair_of(row)
        assert sorted(i for part in read for i in part) == list(range(ANSWER))
        if len(read) == 2:  # 1 / (2r) and 1 / (2(1-r))
            first, second = (1 / (2 * weight) for weight in weights)
            assert first + second == pytest.approx(1, abs=1e-5)
            assert 0.2 <= first <= 0.8


def test_a_token_is_half_its_masked_and_half_its_weighted_coupled_value() -> None:
    network, found = table_network(4), values(ARM, table_network(4), VIEWS, ROWS)
    first = network(PROMPT, (MASK,) * 6)
    for row in range(40):
        read, weights = pair_of(row)
        for part, weight in zip(read, weights, strict=True):
            table = network(PROMPT, masked(RESPONSE, frozenset(part | {5})))
            for i in part:
                expected = float(first[i, RESPONSE[i]]) / 2 + weight * float(table[i, RESPONSE[i]])
                assert float(found[row, i]) == pytest.approx(expected, rel=1e-6)


def test_the_ratio_is_uniform_and_tokens_are_masked_with_it() -> None:
    both = [pair_of(row) for row in range(ROWS)]
    ratios = torch.tensor([1 / (2 * weights[0]) for read, weights in both if len(read) == 2])
    shares = torch.tensor([len(read[0]) / ANSWER for read, _ in both if len(read) == 2])
    assert float(ratios.mean()) == pytest.approx(0.5, abs=0.04)
    assert float(ratios.std()) == pytest.approx(0.6 / 12**0.5, rel=0.1)
    assert float(torch.corrcoef(torch.stack([ratios, shares]))[0, 1]) > 0.5
    weight = torch.zeros(ROWS, 6).index_put(
        (VIEWS.row[:, None].expand_as(VIEWS.columns), VIEWS.columns), VIEWS.weight, accumulate=True
    )
    assert float(weight[:, :ANSWER].mean()) == pytest.approx(1.5, abs=0.05)
    assert (weight[:, ANSWER:] == 0).all()
