"""What is counted is what the network was asked for, under every method, whatever the micro-batches."""

from typing import Any

import pytest
import torch
from fakes import CHAT, TinyNetwork, example
from small_run import DRAWS, NETWORK_SEED, NONE, SAMPLER, Study, dopsd, shared
from torch import nn

from dopsd.diffusion.sampler import BlockSampler
from dopsd.diffusion.views import Views
from dopsd.distillation.teacher import ARPrefixTeacher, SuffixTeacher
from dopsd.method import scoring
from dopsd.method.budget import BUDGET, Flop, StopAt
from dopsd.method.learning import Learning
from dopsd.method.teacher_weights import LiveWeights
from dopsd.method.text_sft import Solutions, TextSFT
from dopsd.rollout import Rollout
from dopsd.stream import Draw

PROMPTS, LENGTH, STEPS = int(CHAT.prompts(draw.example for draw in DRAWS).attention_mask.sum()), 12, 6
WEIGHTS = 3 * 5  # of the one linear layer


class Asked(TinyNetwork):
    """Counts the rows and real columns of its forwards, by whether they have gradients."""

    def __init__(self) -> None:
        super().__init__(NETWORK_SEED)
        self.linear = nn.Linear(3, 5)
        self.rows, self.columns = {True: 0, False: 0}, {True: 0, False: 0}

    def forward(self, canvas: Any, attention_mask: Any = None, **asked: Any) -> Any:
        self.rows[torch.is_grad_enabled()] += canvas.shape[0]
        real = canvas.numel() if attention_mask is None else int(attention_mask.sum())
        self.columns[torch.is_grad_enabled()] += real
        return super().forward(canvas, attention_mask, **asked)


@pytest.mark.parametrize("micro_batch_tokens", [40, 10**6])
@pytest.mark.parametrize("teacher", [SuffixTeacher(retain_ratio=0.4), ARPrefixTeacher()])
def test_of_dopsd_it_is_tries_updates_and_the_teacher(teacher: Any, micro_batch_tokens: int) -> None:
    network = Asked()
    sampler = BlockSampler(**{**vars(SAMPLER), "early_exit": False})
    method = dopsd(
        network=network,
        task=NONE,
        rollout=Rollout(sampler=sampler, max_attempts=2),
        learning=Learning(learn_from="all", updates_per_rollout=2),
        teacher=teacher,
        teacher_weights=LiveWeights(),
        micro_batch_tokens=micro_batch_tokens,
    )
    study = Study(method)
    spent, tries = method.budget.spent, 2 * len(DRAWS)
    assert (spent["completions"], spent["denoising_forwards"]) == (tries, tries * STEPS)
    assert spent["denoising_columns"] == 2 * STEPS * (PROMPTS + len(DRAWS) * LENGTH)
    states = 2 * study.logged("train/states")[0]  # logged is the mean over the updates
    assert (
        spent["training_forwards"] == spent["training_backwards"] == spent["no_gradient_forwards"] == states
    )
    assert spent["optimizer_steps"] == len(study.losses) == 2
    assert network.rows == {True: states, False: tries * STEPS + states}
    assert spent["tokens"] == sum(network.columns.values())
    assert spent["flop"] == 2 * WEIGHTS * (sum(network.columns.values()) + 2 * network.columns[True])


def test_of_sft_it_is_updates_alone() -> None:
    network, rows = Asked(), len(DRAWS)
    form = {"source": Solutions(), "gen_length": 8, "form": "exact_count", "tail": "trained"}
    method = TextSFT(**form, **shared(network=network, micro_batch_tokens=40))
    Study(method)
    tokens = PROMPTS + rows * 8
    assert method.budget.spent == dict.fromkeys(BUDGET, 0) | {
        "training_forwards": rows,
        "training_backwards": rows,
        "tokens": tokens,
        "flop": 6 * WEIGHTS * tokens,
        "optimizer_steps": 1,
    }
    assert (network.rows[True], network.columns[True]) == (rows, tokens)


def test_of_a_likelihood_it_is_all_views_and_then_those_that_are_followed() -> None:
    network, random = Asked(), torch.Generator().manual_seed(0)
    form = {"source": Solutions(), "gen_length": 8, "form": "exact_count", "tail": "trained"}
    method = TextSFT(**form, **shared(network=network, micro_batch_tokens=40))
    Study(
        method, [Draw(example=example(0, solution="abcdefghijkl"), number=0)]
    )  # too long: nothing is learnt
    finished = torch.randint(4, 16, (5, 8), generator=random)
    views = Views.of(
        row=torch.arange(5),
        prompts=CHAT.prompts(map(example, range(5))),
        canvas=finished,
        finished=finished,
        read=torch.ones(5, 8, dtype=torch.bool),
        weight=torch.ones(5),
    )
    scoring.evaluate(method, views, network)
    coefficient = torch.ones(5, 8) * torch.tensor([1.0, 0, -1, 0, 2])[:, None]
    assert scoring.follow(method, views, torch.zeros(5, 8)) == 0
    scoring.follow(method, views, coefficient)
    spent = method.budget.spent
    assert (spent["no_gradient_forwards"], spent["training_forwards"], spent["optimizer_steps"]) == (5, 3, 1)
    assert spent["tokens"] == sum(network.columns.values())
    assert network.rows == {True: 3, False: 5}


def test_a_frozen_weight_has_no_gradient_of_its_own() -> None:
    frozen, adapter = nn.Linear(4, 6), nn.Linear(4, 2)
    frozen.requires_grad_(False)
    network = nn.Sequential(frozen, adapter, nn.Embedding(100, 4))
    assert Flop.of(network) == Flop(forward=2 * (24 + 8), backward=2 * (24 + 8) + 2 * 8)
    assert Flop.of(adapter) == Flop(forward=16, backward=32)


def test_a_limit_is_reached_when_as_much_is_spent() -> None:
    stop_at = StopAt(**dict.fromkeys(BUDGET) | {"tokens": 100, "completions": 7})
    assert stop_at.limits == {"completions": 7, "tokens": 100}
    spent = dict.fromkeys(BUDGET, 6)
    assert stop_at.reached(spent) == []
    assert stop_at.reached(spent | {"completions": 7}) == ["completions"]
    assert stop_at.reached(spent | {"tokens": 101, "completions": 9}) == ["completions", "tokens"]
