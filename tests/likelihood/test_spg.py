"""SPG's masks and its two values against loops in probabilities."""

from dataclasses import replace
from math import comb, log, prod

import pytest
import torch
from enumeration import MASK, Canvas, finished, log_p, masked, prompts_of, subsets, table_network, values

from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.responses import Responses
from dopsd.diffusion.views import Views
from dopsd.likelihood.spg import SandwichedBounds

PROMPT, BLOCK = (1, 2, 2), 2
RESPONSE, ANSWER = (2, 1, 0, 1, 0, 2, 1, 2), 5
ARM = SandwichedBounds(samples=3, beta=1.5, upper_share=1.0, context_mask=0.0)
ROWS = 400


def views_of(arm: SandwichedBounds, *, answer: int = ANSWER, rows: int = ROWS) -> Views:
    return arm.views(
        Responses(
            trajectory=finished([RESPONSE] * rows, block_length=BLOCK),
            scored=(torch.arange(len(RESPONSE)) < answer).expand(rows, -1),
            prompts=prompts_of([PROMPT] * rows),
            keys=example_keys(0, range(rows)),
        ),
        mask_id=MASK,
    )


def hidden_in(canvas: torch.Tensor, answer: int = ANSWER) -> list[int]:
    return (canvas[:answer] == MASK).nonzero()[:, 0].tolist()


def test_a_view_masks_part_of_a_block_and_all_that_follows() -> None:
    views = views_of(ARM)
    assert len(views) == 3 * ROWS
    seen, of_row = set(), {}
    for n in range(len(views)):
        hidden = hidden_in(views.canvas[n])
        assert hidden
        block = hidden[0] // BLOCK
        inside = [i for i in hidden if i // BLOCK == block]
        assert hidden == sorted({*inside, *range((block + 1) * BLOCK, ANSWER)})
        assert (views.canvas[n, ANSWER:] == MASK).all()
        assert sorted(views.columns[n][views.is_real[n]].tolist()) == hidden
        assert float(views.weight[n, 0]) == pytest.approx(ANSWER / len(hidden))
        seen.add(tuple(inside))
        of_row.setdefault(int(views.row[n]), []).append(block)
    assert seen == {(0,), (1,), (0, 1), (2,), (3,), (2, 3), (4,)}
    assert all(sorted(blocks) == [0, 1, 2] for blocks in of_row.values())  # three views, three blocks
    assert (views.prompts.tokens != MASK).all()


def test_blocks_are_equally_likely_and_taken_again_where_they_are_few() -> None:
    single = views_of(replace(ARM, samples=1))
    blocks = torch.tensor([hidden_in(canvas)[0] // BLOCK for canvas in single.canvas])
    for block in range(3):
        assert float((blocks == block).float().mean()) == pytest.approx(1 / 3, abs=0.1)
    one_block = views_of(ARM, answer=2)
    assert all(set(hidden_in(canvas, 2)) <= {0, 1} for canvas in one_block.canvas)
    assert one_block.row.bincount().tolist() == [3] * ROWS


def test_what_stands_before_is_masked_with_the_context_and_scored() -> None:
    views = views_of(replace(ARM, context_mask=0.3))
    prompt = (views.prompts.tokens == MASK).float().mean(0)
    assert prompt.tolist() == pytest.approx([0.3] * 3, abs=0.06)
    plain = views_of(ARM)
    added = (views.canvas == MASK) & (plain.canvas != MASK)
    last = torch.tensor([hidden_in(canvas) == [4] for canvas in plain.canvas])
    assert added[last][:, :4].float().mean(0).tolist() == pytest.approx([0.3] * 4, abs=0.1)
    assert torch.equal(views.is_real.sum(1), (views.canvas[:, :ANSWER] == MASK).sum(1))


def probabilities(network, views: Views, row: int) -> list[dict[int, float]]:
    """p of each masked token, in each of the row's views."""
    found = []
    for canvas in views.canvas[views.row == row]:
        table = network(PROMPT, tuple(canvas.tolist())).exp()
        found.append({i: float(table[i, RESPONSE[i]]) for i in hidden_in(canvas)})
    return found


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("beta", [1.0, 1.5])
def test_both_values_are_those_of_the_formula(share: float, beta: float) -> None:
    arm, network = replace(ARM, beta=beta, upper_share=share), table_network(6)
    views = views_of(arm, rows=12)
    positive, negative = (values(arm, network, views, 12, sign) for sign in (True, False))
    for row in range(12):
        found = probabilities(network, views, row)
        lower = sum(sum(map(log, p.values())) / len(p) for p in found) / len(found)
        tokens = {i for p in found for i in p}
        upper = sum(
            log(sum(p.get(i, 0.0) ** beta * ANSWER / len(p) for p in found) / len(found)) / beta
            for i in tokens
        ) / len(tokens)
        assert float(positive[row]) == pytest.approx(lower, rel=1e-6)
        assert float(negative[row]) == pytest.approx(share * upper + (1 - share) * lower, rel=1e-6)


def test_the_sign_is_looked_at_row_by_row() -> None:
    network, views = table_network(6), views_of(ARM, rows=2)
    up, down = (values(ARM, network, views, 2, sign) for sign in (True, False))
    mixed = ARM.combine(views, log_p(network, views), 2, positive=torch.tensor([True, False]))
    assert mixed.tolist() == [float(up[0]), float(down[1])]


def test_the_upper_value_survives_probabilities_that_float32_has_not() -> None:
    views = views_of(ARM, rows=2)
    tiny = torch.full(views.columns.shape, -200.0, requires_grad=True)
    found = ARM.combine(views, tiny, 2, positive=torch.zeros(2).bool())
    assert (found < -190).all()
    assert found.isfinite().all()
    (gradient,) = torch.autograd.grad(found.sum(), tiny)
    assert float(gradient.sum()) == pytest.approx(2, rel=1e-5)  # beta cancels: log-values move with log p


def every_mask(response: Canvas) -> Views:
    """One block, one row, and every mask of it as often as its probability says."""
    length, often = len(response), prod(comb(len(response), k) for k in range(1, len(response) + 1))
    masks = [
        hidden for hidden, probability in subsets(length) for _ in range(round(probability * length * often))
    ]
    hidden = torch.tensor([[i in mask for i in range(length)] for mask in masks])
    return Views.of(
        row=torch.zeros(len(masks), dtype=torch.int64),
        prompts=prompts_of([PROMPT] * len(masks)),
        canvas=torch.tensor([masked(response, mask) for mask in masks]),
        finished=torch.tensor([response] * len(masks)),
        read=hidden,
        weight=length / hidden.sum(1).double(),
    )


@pytest.mark.parametrize("response", [(1, 2), (0, 2, 1)])
@pytest.mark.parametrize("seed", range(5))
def test_over_all_masks_the_upper_value_is_above_the_elbo_of_a_token(response: Canvas, seed: int) -> None:
    """Jensen: log E[p 1/t] >= E[log p 1/t], since E[1{masked}/t] = 1 for every token."""
    network, views = table_network(seed), every_mask(response)
    upper = float(values(replace(ARM, beta=1.0), network, views, 1, False))
    elbo = sum(
        probability
        * sum(float(network(PROMPT, masked(response, hidden))[i, response[i]]) for i in hidden)
        / len(hidden)
        for hidden, probability in subsets(len(response))
    )
    assert upper > elbo + 1e-3
    certain = float(values(replace(ARM, beta=1.0), lambda *_: torch.zeros(3, 3), views, 1, False))
    assert certain == pytest.approx(0, abs=1e-6)
