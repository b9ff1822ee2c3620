"""The embedded model is so sure of many positions that float32 probabilities tie; what ranks them must not."""

import pytest
import torch
from torch import Tensor

from dopsd.chat import Chat
from dopsd.diffusion.choose import choose, columns_of
from dopsd.diffusion.confidence import confidence, forbid, log_probability_of
from dopsd.diffusion.sampler import BlockSampler
from dopsd.diffusion.special_tokens import SpecialTokens
from dopsd.model import load_model, load_tokenizer
from dopsd.task import Countdown, Sudoku, Task

SAMPLER = BlockSampler(gen_length=40, block_length=8, denoising_steps=20)


def steps_of(task: Task, prompts: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, open positions and counts of the greedy steps that leave some positions of their block masked."""
    network = load_model("tiny")
    special = SpecialTokens(mask_id=network.mask_id, eos_id=network.eos_id, end_ids=network.end_ids)
    chat = Chat(tokenizer=load_tokenizer("tiny"), special=special)
    shown = chat.prompts(list(task.examples("dev"))[:prompts])
    keys = torch.zeros(prompts, dtype=torch.int64)
    states = SAMPLER.sample(network, shown, keys, special).visited_states(special.mask_id)
    states = states[states.open.sum(-1) > states.unmasked_now.sum(-1)]
    beside = shown[states.rollout]
    columns, is_open = columns_of(states.open, int(states.open.sum(-1).max()))
    at = beside.tokens.shape[1] + columns
    with torch.no_grad():
        logits = forbid(network(*beside.followed_by(states.canvas), at=at).logits(), special.mask_id)
    return logits, is_open, states.unmasked_now.sum(-1)


def share_with_ties(score: Tensor, is_open: Tensor) -> float:
    """Steps of which two open positions have the same score."""
    in_order = score.masked_fill(~is_open, torch.nan).sort(-1).values
    return float((in_order.diff(dim=-1) == 0).any(-1).double().mean())


@pytest.mark.parametrize("task", [Countdown(), Sudoku()], ids=lambda task: task.name)
def test_steps_of_the_embedded_model_choose_as_in_float64_and_do_not_tie(task):
    logits, is_open, count = steps_of(task, prompts=24)
    top = logits.argmax(-1)
    probability = log_probability_of(logits, top).exp()
    others = logits.double().scatter(-1, top[..., None], -torch.inf).logsumexp(-1)
    exact = logits.double().amax(-1) - others
    assert share_with_ties(probability, is_open) > 0.003
    assert share_with_ties(confidence(logits), is_open) == share_with_ties(exact, is_open) == 0
    expected = choose(exact, among=is_open, count=count)
    assert torch.equal(choose(confidence(logits), among=is_open, count=count), expected)
