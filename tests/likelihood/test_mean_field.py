"""One forward for all tokens: exact for one, and no bound for two."""

from math import exp, log

import pytest
import torch
from enumeration import MASK, Canvas, all_responses, finished, orders, prompts_of, values

from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.responses import Responses
from dopsd.likelihood.mean_field import MeanField


def twins(prompt: Canvas, canvas: Canvas) -> torch.Tensor:
    """The policy that writes 00 or 11, each half of the time: a position copies the other one, where it can see it."""
    table = torch.full((2, 2), -log(2), dtype=torch.float64)
    for i in range(2):
        if canvas[1 - i] != MASK:
            table[i] = -torch.inf
            table[i, canvas[1 - i]] = 0.0
    return table


def test_it_is_no_bound() -> None:
    """p(00) = p(11) = 1/2, of which the mean field makes 1/4 for each of the four."""
    responses = all_responses(2, tokens=2)
    arm, prompts = MeanField(prompt_mask=0.0), prompts_of([(1,)] * 4)
    views = arm.views(
        Responses(
            trajectory=finished(responses),
            scored=torch.ones(4, 2).bool(),
            prompts=prompts,
            keys=example_keys(0, range(4)),
        ),
        mask_id=MASK,
    )
    found = values(arm, twins, views, 4).sum(1).exp()
    assert found.tolist() == pytest.approx([1 / 4] * 4)
    true = [sum(map(exp, orders(twins, (1,), response, range(2)))) / 2 for response in responses]
    assert true == pytest.approx([1 / 2, 0, 0, 1 / 2])


@pytest.mark.parametrize("probability", [0.0, 0.15, 1.0])
def test_the_whole_canvas_is_masked_and_of_the_prompt_a_share(probability: float) -> None:
    rows, prompts = 2000, prompts_of([(1, 2, 1, 1), (2, 2)] * 1000)
    scored = torch.tensor([[True, True, False]]).expand(rows, -1)
    views = MeanField(prompt_mask=probability).views(
        Responses(
            trajectory=finished([(1, 0, 2)] * rows),
            scored=scored,
            prompts=prompts,
            keys=example_keys(1, range(rows)),
        ),
        mask_id=MASK,
    )
    assert len(views) == rows
    assert (views.canvas == MASK).all()
    assert (views.weight == 1).all()
    real = prompts.attention_mask
    hidden = views.prompts.tokens == MASK
    assert not hidden[~real].any()
    assert torch.equal(views.prompts.attention_mask, real)
    spread = (probability * (1 - probability) / 1000) ** 0.5
    for column, number in enumerate(real.sum(0).tolist()):
        assert float(hidden[:, column].sum()) / number == pytest.approx(probability, abs=4 * spread)
