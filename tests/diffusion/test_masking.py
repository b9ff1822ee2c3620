"""Random masks against the distributions they are drawn from."""

from collections import Counter
from math import comb

import torch
from scipy import stats

from dopsd.diffusion.masking import (
    exact_count_mask,
    independent_mask,
    mask_of,
    mask_prompts,
    random_ratio_mask,
)
from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.prompts import Prompts

MASK = 99
MANY = 8000
KEYS = example_keys(5, range(MANY))


def test_counts_are_uniform_from_one_to_all_and_sets_of_a_count_equally_likely() -> None:
    among = torch.tensor([[False, True, True, False, True, True]]).expand(MANY, -1)
    masked = exact_count_mask(KEYS, among)
    assert not (masked & ~among).any()
    often = Counter(tuple(row) for row in masked[:, among[0]].tolist())
    assert len(often) == 2**4 - 1
    for chosen, number in often.items():
        probability = 1 / 4 / comb(4, sum(chosen))
        spread = (probability * (1 - probability) / MANY) ** 0.5
        assert abs(number / MANY - probability) < 4 * spread


def test_the_count_is_of_what_may_be_masked_in_that_row() -> None:
    among = torch.arange(6) < torch.tensor([0, 1, 2, 6])[:, None]
    counts = exact_count_mask(KEYS, among.repeat(MANY // 4, 1)).sum(1).view(-1, 4)
    assert counts.amax(0).tolist() == [0, 1, 2, 6]
    assert counts.amin(0).tolist() == [0, 1, 1, 1]


def test_a_rows_mask_depends_on_its_key_and_not_on_the_batch() -> None:
    among = torch.rand(50, 9, generator=torch.Generator().manual_seed(0)) < 0.7
    together = exact_count_mask(KEYS[:50], among)
    for row in (0, 7, 49):
        assert torch.equal(exact_count_mask(KEYS[row : row + 1], among[row : row + 1])[0], together[row])
    longer = torch.cat([among, torch.zeros(50, 4, dtype=torch.bool)], 1)
    assert torch.equal(exact_count_mask(KEYS[:50], longer)[:, :9], together)


def test_mask_of_takes_exactly_so_many_or_all() -> None:
    among = torch.tensor([[True, True, False, True]]).expand(5, -1)
    count = torch.tensor([0, 1, 2, 3, 9])
    assert mask_of(KEYS[:5], among=among, count=count).sum(1).tolist() == [0, 1, 2, 3, 3]


def test_independent_positions_are_masked_with_the_probability_of_their_row() -> None:
    probability = torch.tensor([0.1, 0.5]).double().repeat(MANY // 2)
    share = independent_mask(KEYS, probability, 3).view(-1, 2, 3).double().mean(0)
    expected = torch.tensor([[0.1] * 3, [0.5] * 3]).double()
    torch.testing.assert_close(share, expected, rtol=0, atol=0.03)
    both = independent_mask(KEYS, 0.5, 2).all(1).double().mean()
    torch.testing.assert_close(both, torch.tensor(0.25).double(), rtol=0, atol=0.03)
    assert not independent_mask(KEYS, 0.0, 3).any()
    assert independent_mask(KEYS, 1.0, 3).all()


def test_prompts_are_masked_from_their_end_and_padding_never() -> None:
    prompts = Prompts.pad([[1, 2, 3, 4, 5], [6, 7]] * 100, pad_id=0)
    keys = KEYS[:100].repeat_interleave(2)  # a long and a short prompt share a key
    masked = mask_prompts(prompts, keys, 0.5, MASK)
    assert torch.equal(masked.attention_mask, prompts.attention_mask)
    hidden = masked.tokens == MASK
    assert torch.equal(masked.tokens[~hidden], prompts.tokens[~hidden])
    assert not hidden[~prompts.attention_mask].any()
    assert torch.equal(hidden[0::2, 3:], hidden[1::2, 3:])
    assert 0 < int(hidden[0::2].sum()) < 500


def test_each_position_is_masked_by_itself_with_the_ratio_of_its_row() -> None:
    among = torch.tensor([[False, True, True, True]]).expand(MANY, -1)
    masked, t = random_ratio_mask(KEYS, among)
    assert not masked[:, 0].any()
    assert stats.kstest(t.numpy(), "uniform", (1e-3, 1 - 1e-3)).pvalue > 1e-3
    assert t.min() > 1e-3
    for low in torch.arange(0, 1, 0.25):
        rows = (t >= low) & (t < low + 0.25)
        for chosen in ([1], [1, 2], [1, 2, 3]):
            often = masked[rows][:, chosen].all(1).double().mean()
            expected = (t[rows] ** len(chosen)).mean()
            assert abs(often - expected) < 4 * (expected / rows.sum()) ** 0.5
    alone, of_one = random_ratio_mask(KEYS[7:8], among[:1])
    assert torch.equal(alone[0], masked[7])
    assert torch.equal(of_one, t[7:8])
