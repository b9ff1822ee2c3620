"""d3LLM's views: a block whose left is clean and whose right is masked, each of its tokens a target exactly once."""

from collections import Counter
from itertools import combinations
from math import ceil

import pytest
import torch
from fakes import EOS, MASK, VOCABULARY
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.prompts import Prompts
from dopsd.distillation.regions import (
    complementary_views,
    draw_region,
    masked_in,
    random_order,
    right_entropy,
)

CANVAS = 12
cases = st.tuples(st.integers(0, 999), st.integers(1, 5), st.booleans())
ratios = st.floats(1e-6, 0.999)


def regions(seed: int, block_length: int, tail: bool, rows: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """R of each row and the lengths of the answers."""
    lengths = torch.randint(1, CANVAS + 1, (rows,), generator=torch.Generator().manual_seed(seed))
    ends = torch.full_like(lengths, CANVAS) if tail else lengths
    keys = example_keys(seed, range(rows))
    return draw_region(lengths, ends, keys, block_length=block_length, canvas=CANVAS), lengths


def blocks(length: int, end: int, block_length: int) -> list[tuple[int, int]]:
    """Every R that can be drawn, as its start and end."""
    starts = [j * block_length for j in range(length // block_length + 1) if j * block_length < end]
    return [(start, start + block_length) for start in starts[:-1]] + [(starts[-1], end)]


@given(cases)
def test_a_region_is_one_block_and_the_last_block_goes_on_to_the_end(case):
    _, block_length, tail = case
    found, lengths = regions(*case)
    for row, length in enumerate(lengths.tolist()):
        places = found[row].nonzero()[:, 0].tolist()
        allowed = blocks(length, CANVAS if tail else length, block_length)
        assert places in [list(range(*block)) for block in allowed]


def test_every_block_is_as_likely():
    rows = 3000
    length = torch.full((rows,), 7)
    for end in (7, CANVAS):
        keys = example_keys(end, range(rows))
        found = draw_region(length, torch.full((rows,), end), keys, block_length=3, canvas=CANVAS)
        drawn = Counter((int(r.nonzero()[0]), int(r.nonzero()[-1]) + 1) for r in found)
        assert set(drawn) == {(0, 3), (3, 6), (6, end)} == set(blocks(7, end, 3))
        assert stats.chisquare(list(drawn.values())).pvalue > 1e-3


@given(cases, ratios)
def test_in_the_students_own_order_the_masks_are_those_of_a_state_it_visited(case, ratio):
    seed, block_length, _ = case
    region, _ = regions(seed, block_length, True)
    random = torch.Generator().manual_seed(seed)
    step_map = torch.cat(
        [torch.rand(len(region), 4, generator=random).argsort(1) for _ in range(CANVAS // 4)], 1
    )
    step_map = step_map + torch.arange(CANVAS // 4).repeat_interleave(4) * 4  # one token a step, blocks of 4
    masked = masked_in(region, step_map, torch.full((len(region),), ratio, dtype=torch.float64))
    for row in range(len(region)):
        size = int(region[row].sum())
        assert int(masked[row].sum()) == max(1, size - int((1 - ratio) * size))
        assert any(torch.equal(masked[row], region[row] & (step_map[row] >= s)) for s in range(CANVAS))
        if block_length == 4 and size == 4:
            state = int(region[row].nonzero()[0]) + min(int((1 - ratio) * size), size - 1)
            assert torch.equal(masked[row], region[row] & (step_map[row] >= state))


@given(cases, ratios, st.integers(2, 4))
def test_tokens_of_one_step_are_masked_together_and_never_too_few(case, ratio, tokens_a_step):
    region, _ = regions(*case)
    order = random_order(example_keys(case[0], range(len(region))), CANVAS)
    step_map = order // tokens_a_step
    masked = masked_in(region, step_map, torch.full((len(region),), ratio, dtype=torch.float64))
    for row in range(len(region)):
        first = int(step_map[row][masked[row]].min())
        assert torch.equal(masked[row], region[row] & (step_map[row] >= first))
        assert int(masked[row].sum()) >= ceil(ratio * int(region[row].sum()) - 1e-9)


def test_in_random_order_every_set_of_masks_of_one_size_is_as_likely():
    rows = 4000
    region = (torch.arange(CANVAS) // 4 == 1).expand(rows, -1)
    order = random_order(example_keys(3, range(rows)), CANVAS)
    assert torch.equal(order.sort(1).values, torch.arange(CANVAS).expand(rows, -1))
    masked = masked_in(region, order, torch.full((rows,), 0.5, dtype=torch.float64))
    drawn = Counter(tuple(row.nonzero()[:, 0].tolist()) for row in masked)
    assert set(drawn) == set(combinations(range(4, 8), 2))
    assert stats.chisquare(list(drawn.values())).pvalue > 1e-3


@given(cases, ratios)
def test_both_views_mask_the_right_show_the_left_and_score_each_token_of_the_region_once(case, ratio):
    region, _ = regions(*case)
    rows = len(region)
    finished = torch.randint(4, VOCABULARY, (rows, CANVAS), generator=torch.Generator().manual_seed(case[0]))
    order = random_order(example_keys(case[0], range(rows)), CANVAS)
    masked = masked_in(region, order, torch.full((rows,), ratio, dtype=torch.float64))
    prompts = Prompts.pad([[5] * (1 + row) for row in range(rows)], EOS)
    views = complementary_views(finished, region, masked, prompts, mask_id=MASK)
    assert views.row.tolist() == [*range(rows)] * 2
    assert torch.equal(views.prompts.tokens, prompts.tokens[views.row])
    targets = Counter()
    for view, row in enumerate(views.row.tolist()):
        start, end = int(region[row].nonzero()[0]), int(region[row].nonzero()[-1]) + 1
        canvas, scored = views.canvas[view], views.columns[view][views.is_real[view]]
        assert torch.equal(canvas[:start], finished[row, :start])
        assert canvas[end:].eq(MASK).all()
        assert scored.tolist() == [i for i in range(start, end) if canvas[i] == MASK]
        assert torch.equal(views.tokens[view][views.is_real[view]], finished[row, scored])
        assert bool(masked[row, scored].all()) if view < rows else not masked[row, scored].any()
        targets.update((row, place) for place in scored.tolist())
    assert targets == Counter(map(tuple, region.nonzero().tolist()))


def test_the_weights_make_the_sum_of_two_means():
    region = torch.tensor([[0, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0]]).bool()
    masked = torch.tensor([[0, 1, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0]]).bool()
    finished = torch.arange(4, 10).expand(2, -1)
    views = complementary_views(finished, region, masked, Prompts.pad([[5], [5]], EOS), mask_id=MASK)
    nats = torch.arange(12.0).view(2, 6)
    of_view = nats[views.row].gather(1, views.columns)
    wanted = nats[masked].mean() + nats[region & ~masked].mean()
    assert float((views.weight * of_view).sum()) == pytest.approx(float(wanted))
    parts = [views[:1], views[1:3], views[torch.tensor([3])]]
    assert sum(float((p.weight * nats[p.row].gather(1, p.columns)).sum()) for p in parts) == pytest.approx(
        float(wanted)
    )


def test_the_entropy_counts_only_where_the_most_likely_token_is_right():
    logits = torch.randn(40, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    tokens = torch.arange(40) % 5
    entropy, right = right_entropy(logits, tokens, temperature=0.5)
    assert right.tolist() == [
        max(range(5), key=row.__getitem__) == t for row, t in zip(logits.tolist(), tokens, strict=True)
    ]
    assert 0 < int(right.sum()) < 40
    wanted = torch.from_numpy(stats.entropy((logits.detach().double() * 2).softmax(-1).numpy(), axis=1))
    torch.testing.assert_close(entropy.detach()[right].double(), wanted[right], rtol=1e-5, atol=1e-6)
    assert entropy[~right].eq(0).all()
    [gradient] = torch.autograd.grad(entropy.sum(), logits)
    assert gradient[~right].eq(0).all()
    assert gradient[right].ne(0).any(1).all()


def test_a_token_that_is_ruled_out_has_no_part_in_the_entropy():
    logits = torch.tensor([[1.0, 0.0, -torch.inf]], requires_grad=True)
    entropy, right = right_entropy(logits, torch.tensor([0]), temperature=0.5)
    assert right.all()
    assert float(entropy.detach()) == pytest.approx(
        stats.entropy(torch.tensor([2.0, 0.0]).softmax(0).numpy())
    )
    [gradient] = torch.autograd.grad(entropy.sum(), logits)
    assert gradient.isfinite().all()
