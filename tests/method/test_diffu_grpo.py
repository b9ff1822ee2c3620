"""A step of diffu-GRPO and its followers against plain loops, and what must not change it."""

from typing import Any

import pytest
import torch
from fakes import CHAT, EOS, EOT, MASK, JudgeTask, TinyNetwork
from small_run import DRAWS, NETWORK_SEED, NONE, SAMPLER, Study, assert_close, gradients_of, shared, train
from torch import Tensor

from dopsd.diffusion.views import Views
from dopsd.likelihood.coupled import Coupled
from dopsd.likelihood.elbo import Elbo
from dopsd.likelihood.elbo_coupled import CoupledElbo
from dopsd.likelihood.exact_order import ExactOrder
from dopsd.likelihood.mean_field import MeanField
from dopsd.likelihood.spg import SandwichedBounds
from dopsd.likelihood.trajectory import TrajectoryLikelihood
from dopsd.method import diffu_grpo as module
from dopsd.method.diffu_grpo import DiffuGRPO
from dopsd.method.teacher_weights import FixedWeights
from dopsd.policy.advantage import Advantage
from dopsd.policy.clipped_ratio import ClippedRatio
from dopsd.policy.weighted_likelihood import PlainGradient, SoftmaxWeights
from dopsd.rollout import Rollout
from dopsd.rollout.reward import Reward

GROUP = 4
VOWELS = JudgeTask(
    lambda response, gold: sum(letter in "aei" for letter in response) / 12 if gold != 3 else 0.0
)
RATIO = {
    "ratio": "token",
    "divided_by": "nothing",
    "clip_low": 0.5,
    "clip_high": 0.5,
    "beta": 0.04,
    "kl": "k3",
    "normalisation": "completions",
}
BY_SEQUENCE = RATIO | {"ratio": "sequence", "divided_by": "counted", "kl": "k2"}
ARMS: dict[str, dict[str, Any]] = {
    "diffu_grpo": {},
    "no reference": {"surrogate": ClippedRatio(**RATIO | {"beta": 0.0})},
    "mean over tokens": {"surrogate": ClippedRatio(**RATIO | {"normalisation": "tokens"})},
    "mean over groups": {"surrogate": ClippedRatio(**RATIO | {"normalisation": "groups"}), "mask_draws": 1},
    "exact order": {"likelihood": ExactOrder()},
    "trajectory": {"likelihood": TrajectoryLikelihood()},
    "coupled": {"likelihood": Coupled(lowest_ratio=0.2, highest_ratio=0.8)},
    "espo": {
        "likelihood": CoupledElbo(samples=2, per_length=False),
        "surrogate": ClippedRatio(**BY_SEQUENCE),
    },
    "elbo": {
        "likelihood": Elbo(samples=3, masks_per_count=1, per_length=False),
        "surrogate": ClippedRatio(**BY_SEQUENCE),
    },
    "spg": {
        "likelihood": SandwichedBounds(samples=2, beta=1.5, upper_share=0.5, context_mask=0.15),
        "surrogate": PlainGradient(normalisation="tokens"),
    },
    "wd1": {"surrogate": SoftmaxWeights()},
}


def grpo(*, network: torch.nn.Module | None = None, **options: Any) -> DiffuGRPO:
    """A method whose student differs from its reference, as after some training."""
    network = network or TinyNetwork(NETWORK_SEED)
    defaults = {
        "rollout": Rollout(sampler=SAMPLER, max_attempts=GROUP, keep="all"),
        "reward": Reward(parts={"score": 1.0}),
        "advantage": Advantage(baseline="mean", divide_by_std=False, std_eps=1e-4),
        "likelihood": MeanField(prompt_mask=0.15),
        "surrogate": ClippedRatio(**RATIO),
        "reference": FixedWeights(),
        "inner_updates": 1,
        "task": VOWELS,
    } | options
    defaults.setdefault("mask_draws", defaults["inner_updates"])
    method = DiffuGRPO(**shared(network=network, **defaults))
    random = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=random, dtype=parameter.dtype))
    return method


def completions(method: DiffuGRPO, draws=DRAWS) -> list[dict[str, Any]]:
    """Each draw's group, sampled alone: prompt, tokens up to the first end, reward."""
    groups = []
    for draw in draws:
        prompts = CHAT.prompts([draw.example])
        rollout = method.rollout.collect(
            method.network, [draw], prompts, chat=CHAT, task=method.task, seed=method.seed
        )
        rewards = [verdict.score for verdict in rollout.verdicts]
        for tokens, times, reward in zip(
            rollout.trajectory.tokens.tolist(), rollout.trajectory.step_map.tolist(), rewards, strict=True
        ):
            written = [t for t, time in zip(tokens, times, strict=True) if time < 10**9]
            end = next((i + 1 for i, t in enumerate(written) if t in (EOS, EOT)), len(written))
            groups.append(
                {
                    "prompt": prompts.tokens[0].tolist(),
                    "tokens": tokens,
                    "times": times,
                    "length": end,
                    "reward": reward,
                    "advantage": reward - sum(rewards) / len(rewards),
                }
            )
    return groups


def mean_field(network: torch.nn.Module, one: dict[str, Any]) -> Tensor:
    """log p of each counted token from a canvas of masks, behind the whole prompt."""
    sequence = torch.tensor([one["prompt"] + [MASK] * len(one["tokens"])])
    logits = network(sequence).logits()[0, len(one["prompt"]) :].log_softmax(-1)
    return torch.stack([logits[i, one["tokens"][i]] for i in range(one["length"])])


def along_states(network: torch.nn.Module, one: dict[str, Any]) -> Tensor:
    """log p of each counted token from the canvas that the sampler saw when it wrote it."""
    values = []
    for i in range(one["length"]):
        written = [time < one["times"][i] for time in one["times"]]
        canvas = [token if is_there else MASK for token, is_there in zip(one["tokens"], written, strict=True)]
        logits = network(torch.tensor([one["prompt"] + canvas])).logits()[0, len(one["prompt"]) + i]
        values.append(logits.log_softmax(-1)[one["tokens"][i]])
    return torch.stack(values)


@pytest.mark.parametrize(
    ("likelihood", "value_of", "beta"),
    [
        (MeanField(prompt_mask=0.0), mean_field, 0.0),
        (MeanField(prompt_mask=0.0), mean_field, 0.3),
        (TrajectoryLikelihood(), along_states, 0.3),
    ],
)
def test_loss_and_gradient_of_the_first_update_are_those_of_a_loop_over_completions(
    likelihood, value_of, beta
):
    """At equal weights the ratio is 1: (1/N) sum over completions of the mean over tokens of -A + beta k3."""
    surrogate = ClippedRatio(**RATIO | {"beta": beta})
    method, reference = (
        grpo(likelihood=likelihood, surrogate=surrogate),
        TinyNetwork(NETWORK_SEED),
    )
    study = Study(method)
    groups, losses = completions(method), []
    method.network.zero_grad()
    for one in groups:
        value = value_of(method.network, one)
        d = value_of(reference, one).detach() - value
        terms = -(value - value.detach()).exp() * one["advantage"] + beta * (d.exp() - d - 1)
        learnt = beta > 0 or one["advantage"] != 0
        losses.append(terms.mean() if learnt else 0 * terms.mean())
    expected = torch.stack(losses).sum() / len(groups)
    expected.backward()
    assert study.logged("train/loss") == [pytest.approx(float(expected.detach()), rel=1e-4, abs=1e-7)]
    assert_close(study.gradients[0], gradients_of(method.network), rtol=1e-3)
    assert study.logged("policy/ratio") == [1.0]
    assert 0 < study.logged("reward/groups_with_signal")[0] < 1
    assert study.logged("reward/mean") == [pytest.approx(sum(one["reward"] for one in groups) / len(groups))]


@pytest.mark.parametrize("arm", ARMS)
def test_micro_batches_of_any_token_budget_give_the_same_steps(arm):
    whole = Study(grpo(**ARMS[arm], inner_updates=2))
    assert len(whole.gradients) == 2
    for budget in (1, 90):
        parts = Study(grpo(**ARMS[arm], inner_updates=2, micro_batch_tokens=budget))
        assert parts.micro_batches > whole.micro_batches == [1, 1]
        for ours, expected in zip(parts.gradients, whole.gradients, strict=True):
            assert_close(ours, expected)
        for key, value in whole.rows[-1].items():
            assert parts.rows[-1][key] == pytest.approx(value, rel=1e-4, abs=1e-6), key


@pytest.mark.parametrize("arm", [arm for arm in ARMS if arm != "wd1"])
def test_the_order_of_the_prompts_does_not_matter(arm):
    whole, turned = Study(grpo(**ARMS[arm])), Study(grpo(**ARMS[arm]), DRAWS[::-1])
    assert_close(turned.gradients[0], whole.gradients[0])


@pytest.mark.parametrize("arm", ARMS)
def test_equal_rewards_are_counted_and_no_step_is_taken(arm):
    study = Study(grpo(**ARMS[arm], task=NONE))
    assert study.gradients == []
    assert study.logged("reward/groups_with_signal") == [0]
    assert study.logged("train/loss") == []


@pytest.fixture
def evaluated(monkeypatch) -> list[Views]:
    """All views that are evaluated, in their order."""
    seen: list[Views] = []

    def recorded(method, views, network):
        seen.append(views)
        return evaluate(method, views, network)

    evaluate = module.evaluate
    monkeypatch.setattr(module, "evaluate", recorded)
    return seen


def test_inner_updates_have_masks_of_their_own_that_all_weights_share(evaluated):
    Study(grpo(likelihood=MeanField(prompt_mask=0.5), inner_updates=3))
    seen = [views.prompts.tokens for views in evaluated]
    old, reference, later = seen[:3], seen[3:6], seen[6:]
    assert len(later) == 2  # the first update's values are the old ones
    assert all(torch.equal(a, b) for a, b in zip(old, reference, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(old[1:], later, strict=True))
    assert not any(torch.equal(old[a], old[b]) for a in range(3) for b in range(a))


def test_updates_take_turns_through_fewer_draws(evaluated):
    study = Study(grpo(likelihood=MeanField(prompt_mask=0.5), inner_updates=4, mask_draws=2))
    seen = [views.prompts.tokens for views in evaluated]
    assert len(study.gradients) == 4
    [first, second], later = seen[:2], seen[4:]  # old and reference values of each draw, once
    assert not torch.equal(first, second)
    assert all(torch.equal(a, b) for a, b in zip(later, [second, first, second], strict=True))


@pytest.mark.parametrize("updates", [1, 2, 3, 8, 12])
def test_every_other_draw_is_what_a_batch_meets_whose_micro_steps_are_counted_by_twos(updates):
    met = {2 * update % updates for update in range(updates)}
    assert grpo(inner_updates=updates, mask_draws="every_other").mask_draws == len(met)


def test_groups_without_signal_take_no_forward_without_a_reference_and_stay_in_the_denominator(evaluated):
    without = ClippedRatio(**RATIO | {"beta": 0.0})
    study = Study(grpo(surrogate=without))
    share = study.logged("reward/groups_with_signal")[0]
    assert [len(views) for views in evaluated] == [round(share * len(DRAWS)) * GROUP]
    assert share < 1
    alone = [draw for draw in DRAWS if draw.number != 3]  # number 3 never gets a reward
    fewer = Study(grpo(surrogate=without), alone)
    ratio = len(alone) / len(DRAWS)
    expected = {name: ratio * gradient for name, gradient in fewer.gradients[0].items()}
    assert_close(study.gradients[0], expected)


def test_training_raises_the_reward():
    everything = JudgeTask(lambda response, gold: sum(letter in "aei" for letter in response) / 12)
    options = {"task": everything, "surrogate": ClippedRatio(**RATIO | {"beta": 0.0})}
    method = grpo(
        **options, inner_updates=2, optimizer=lambda parameters: torch.optim.Adam(parameters, lr=0.03)
    )
    before = Study(grpo(**options)).logged("reward/mean")[0]
    train(method, steps=12, batch_size=6)
    assert Study(method).logged("reward/mean")[0] > before + 0.05


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"rollout": Rollout(sampler=SAMPLER, max_attempts=1, keep="all")}, "max_attempts=1: a group"),
        ({"likelihood": ARMS["elbo"]["likelihood"]}, "ratio=token: Elbo has one value"),
        ({"reward": Reward(parts={"cells": 1.0})}, r"reward\.parts\.cells=1"),
        ({"mask_draws": 3}, "mask_draws=3: must be at most inner_updates=2"),
    ],
)
def test_what_does_not_fit_together_is_refused_by_name(options, line):
    given = {
        "task": VOWELS,
        "rollout": Rollout(sampler=SAMPLER, max_attempts=4, keep="all"),
        "reward": Reward(parts={"score": 1.0}),
        "likelihood": MeanField(prompt_mask=0.15),
        "surrogate": ClippedRatio(**RATIO),
        "inner_updates": 2,
        "mask_draws": 2,
    }
    DiffuGRPO.check(**given)
    DiffuGRPO.check(**given | {"mask_draws": "every_other"})
    with pytest.raises(ValueError, match=line):
        DiffuGRPO.check(**given | options)


def test_the_reference_is_the_start():
    """The student has moved away from it: k3 is 0 nowhere else than at equal weights."""
    assert Study(grpo()).logged("policy/kl")[0] > 1e-3
