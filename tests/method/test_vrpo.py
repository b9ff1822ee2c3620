"""VRPO against loops in float64, and where its pairs come from."""

import math
from copy import deepcopy
from typing import Any

import pytest
import torch
from fakes import CHAT, EOS, EOT, MASK, JudgeTask, TinyNetwork, example
from small_run import DRAWS, NETWORK_SEED, SAMPLER, Study, assert_close, gradients_of, shared
from torch import Tensor
from torch.nn.functional import logsigmoid

from dopsd.diffusion.counted import counted
from dopsd.diffusion.views import Views
from dopsd.likelihood.coupled import Coupled
from dopsd.likelihood.elbo import Elbo
from dopsd.likelihood.elbo_coupled import CoupledElbo
from dopsd.likelihood.exact_order import ExactOrder
from dopsd.likelihood.mean_field import MeanField
from dopsd.likelihood.spg import SandwichedBounds
from dopsd.method.pair_source import RolloutPairs
from dopsd.method.vrpo import VRPO
from dopsd.model import add_lora, load_model
from dopsd.rollout import Rollout
from dopsd.stream import Draw

BETA, SFT_WEIGHT, SAMPLES = 0.7, 0.3, 3
SOME = JudgeTask(lambda response, gold: float(sum(map(ord, response)) % 3 == 0))
OTHERS = JudgeTask(lambda response, gold: float(sum(map(ord, response)) % 3 > 0))
ELBO = Elbo(samples=SAMPLES, masks_per_count=1, per_length=False)


def vrpo(*, moved: float = 0.2, group: int = 4, **options: Any) -> VRPO:
    """A method whose student differs from the reference, as after some training."""
    network = TinyNetwork(NETWORK_SEED)
    defaults = {
        "pairs": RolloutPairs(writer="start", compare="accepted", match="random"),
        "rollout": Rollout(sampler=SAMPLER, max_attempts=group, keep="all"),
        "likelihood": ELBO,
        "beta": BETA,
        "sft_weight": SFT_WEIGHT,
        "log_score_variance": False,
        "task": SOME,
    }
    method = VRPO(**shared(network=network, **(defaults | options)))
    random = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in network.parameters():
            noise = torch.randn(parameter.shape, generator=random, dtype=parameter.dtype)
            parameter.add_(moved * noise)
    return method


def views_of(method: VRPO, draws: list[Draw] = DRAWS) -> tuple[Views, int]:
    """What a training step learns from, and the number of pairs."""
    method.log_step = lambda values: None  # type: ignore[method-assign]
    prompts = method.chat.prompts(draw.example for draw in draws)
    rollout = method.roll_out(draws, prompts, writer=method.reference)
    answers = method.pairs.answers(draws, rollout, chat=CHAT, seed=method.seed)
    return method._views(answers, prompts), len(answers.pairs)


def log_p(network: torch.nn.Module, views: Views, view: int) -> Tensor:
    """log p of a view's tokens: one unpadded row."""
    prompt = views.prompts.tokens[view][views.prompts.attention_mask[view]].tolist()
    row = torch.tensor([prompt + views.canvas[view].tolist()])
    table = network(row).logits()[0, len(prompt) :].log_softmax(-1)
    real = views.is_real[view]
    return table[views.columns[view][real], views.tokens[view][real]]


def looped_loss(method: VRPO, views: Views, pairs: int) -> Tensor:
    """The loss of all views at once: a loop over pairs, answers and views, without the method's own mathematics."""
    with method.reference.network() as network:
        reference = deepcopy(network)
    total = torch.zeros((), dtype=torch.float64)
    for pair in range(pairs):
        gain = []
        for answer in (2 * pair, 2 * pair + 1):
            own = [view for view in range(len(views)) if int(views.row[view]) == answer]
            assert len(own) == SAMPLES
            first = views.canvas[own[0]].clone()
            first[views.columns[own[0]][views.is_real[own[0]]]] = views.tokens[own[0]][views.is_real[own[0]]]
            ends = [i for i, token in enumerate(first.tolist()) if token in (EOS, EOT)]
            length = min([*ends, len(first) - 1]) + 1
            policy = [log_p(method.network, views, view) for view in own]
            bound = sum(length / len(it) * it.sum() for it in policy) / SAMPLES
            with torch.no_grad():
                of_reference = [log_p(reference, views, view) for view in own]
            gain.append(bound - sum(length / len(it) * it.sum() for it in of_reference) / SAMPLES)
            if answer % 2 == 0:
                total = total - SFT_WEIGHT * sum(it.mean() for it in policy) / SAMPLES
        total = total - logsigmoid(method.beta * (gain[0] - gain[1]))
    return total / pairs


@pytest.mark.parametrize("budget", [1, 60, 10**6])
def test_two_passes_have_the_loss_and_gradient_of_a_loop_through_all_views(budget: int) -> None:
    method = vrpo(micro_batch_tokens=budget)
    views, pairs = views_of(method)
    assert pairs >= 3
    expected = looped_loss(method, views, pairs)
    method.network.zero_grad()
    expected.backward()
    wanted = gradients_of(method.network)
    study = Study(method)
    assert study.logged("train/loss") == [pytest.approx(expected.item(), rel=1e-5)]
    assert_close(study.gradients[0], wanted)
    assert study.micro_batches == [{1: len(views), 60: -(-len(views) // (60 // views.width))}.get(budget, 1)]


LIKELIHOODS = [
    Elbo(samples=2, masks_per_count=2, per_length=True),
    CoupledElbo(samples=2, per_length=False),
    MeanField(prompt_mask=0.3),
    Coupled(lowest_ratio=0.2, highest_ratio=0.8),
    ExactOrder(),
    SandwichedBounds(samples=2, beta=1.5, upper_share=0.5, context_mask=0.15),
]


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda it: type(it).__name__)
def test_so_has_every_other_likelihood(likelihood: Any) -> None:
    method = vrpo(likelihood=likelihood, sft_weight=0.0)
    views, pairs = views_of(method)

    def bounds(network: torch.nn.Module) -> Tensor:
        chosen = torch.arange(2 * pairs) % 2 == 0
        scored = views.log_probability(network)
        values = likelihood.combine(views, scored.double(), 2 * pairs, positive=chosen)
        return values.reshape(pairs, 2, -1).sum(-1)

    with method.reference.network() as reference, torch.no_grad():
        of_reference = bounds(reference)
    gain = bounds(method.network) - of_reference
    loss = -logsigmoid(method.beta * (gain[:, 0] - gain[:, 1])).mean()
    method.network.zero_grad()
    loss.backward()
    wanted = gradients_of(method.network)
    study = Study(method)
    assert study.logged("train/loss") == [pytest.approx(loss.item(), rel=1e-5)]
    assert_close(study.gradients[0], wanted)


def test_at_the_reference_the_score_is_zero_and_the_gradient_that_of_the_bounds() -> None:
    method = vrpo(moved=0.0, sft_weight=0.0, log_score_variance=True)
    views, pairs = views_of(method)
    study = Study(method)
    assert study.logged("preference/score") == [0]
    assert study.logged("preference/variance") == [0]
    assert study.logged("preference/accuracy") == [0.5]
    assert study.logged("train/loss") == [pytest.approx(math.log(2), rel=1e-6)]
    method.network.zero_grad()
    sign = 1.0 - 2 * (views.row % 2)[:, None]
    bounds = (sign * views.weight * views.log_probability(method.network)).sum()
    (-BETA / 2 * bounds / pairs).backward()
    assert_close(study.gradients[0], gradients_of(method.network))


def test_a_better_answer_that_is_the_worse_one_negates_the_score() -> None:
    one, other = (Study(vrpo(group=2, sft_weight=0.0, task=task)) for task in (SOME, OTHERS))
    [score] = one.logged("preference/score")
    assert abs(score) > 0.01
    assert other.logged("preference/score") == [pytest.approx(-score, rel=1e-6)]
    for key in ("accuracy", "chosen"):
        assert one.logged(f"preference/{key}") != other.logged(f"preference/{key}")
    assert one.logged("preference/chosen") == other.logged("preference/refused")
    assert one.logged("pairs/length_gap") == [-gap for gap in other.logged("pairs/length_gap")]


def test_nothing_but_the_answer_is_masked_or_scored() -> None:
    method = vrpo()
    views, pairs = views_of(method)
    finished = views.canvas.scatter(
        1, views.columns, views.tokens
    )  # columns that are not real hold what stands there
    assert not (finished == MASK).any()
    for view in range(len(views)):
        tokens = finished[view].tolist()
        end = min([i for i, token in enumerate(tokens) if token in (EOS, EOT)], default=len(tokens) - 1)
        masked = {i for i, token in enumerate(views.canvas[view].tolist()) if token == MASK}
        assert masked == set(views.columns[view][views.is_real[view]].tolist()) <= set(range(end + 1))
    assert not (views.prompts.tokens == MASK).any()
    assert (views.row == torch.arange(2 * pairs).repeat_interleave(SAMPLES)).all()


def test_sharing_masks_saves_variance_where_the_policy_has_not_moved_far() -> None:
    study = Study(vrpo(moved=0.05, log_score_variance=True))
    [shared_masks], [own_masks] = (
        study.logged(f"preference/variance{which}") for which in ("", "_not_shared")
    )
    assert 0 < shared_masks < 0.1 * own_masks
    assert Study(vrpo()).logged("preference/variance") == []


def test_prompts_without_a_pair_are_counted_and_a_batch_without_any_is_not_stepped_on() -> None:
    none = Study(vrpo(task=JudgeTask(lambda response, gold: 1.0)))
    assert (none.losses, none.logged("pairs/without"), none.logged("train/loss")) == ([], [6], [])
    some = JudgeTask(lambda response, gold: float(gold < 2 and sum(map(ord, response)) % 3 == 0))
    study = Study(vrpo(task=some))
    [without], [learnt] = study.logged("pairs/without"), study.logged("train/examples")
    assert 0 < learnt <= 2
    assert without == 6 - learnt


def test_a_pair_by_score_needs_no_accepted_answer() -> None:
    task = JudgeTask(lambda response, gold: -float(len(response)))
    pairs = RolloutPairs(writer="start", compare="score", match="random")
    study = Study(vrpo(task=task, pairs=pairs))
    assert study.logged("rollout/accepted") == [0]
    assert study.logged("train/examples")[0] >= 3
    assert study.logged("pairs/length_gap")[0] < 0  # the shortest are the best


def test_a_solution_is_preferred_to_a_refused_completion() -> None:
    pairs = RolloutPairs(writer="start", compare="solution", match="random")
    method = vrpo(pairs=pairs, task=JudgeTask(lambda response, gold: 0.0), group=1)
    draws = [
        *DRAWS,
        Draw(example=example(7, solution="a" * 12), number=20),
        Draw(example=example(8), number=21),
    ]
    method.log_step = lambda values: None  # type: ignore[method-assign]
    prompts = CHAT.prompts(draw.example for draw in draws)
    rollout = method.roll_out(draws, prompts, writer=method.reference)
    answers = pairs.answers(draws, rollout, chat=CHAT, seed=0)
    assert answers.too_long == 1  # with its end it does not fit
    assert answers.prompt[answers.pairs.chosen].tolist() == list(range(len(DRAWS)))
    assert answers.prompt[answers.pairs.refused].tolist() == list(range(len(DRAWS)))
    chosen = answers.trajectory[answers.pairs.chosen]
    assert CHAT.responses(chosen.tokens) == [draw.example.solution for draw in DRAWS]
    scored = counted(chosen, CHAT.special.end_ids).sum(1)
    assert scored.tolist() == [len(draw.example.solution or "") + 1 for draw in DRAWS]
    refused = answers.trajectory[answers.pairs.refused].tokens
    assert torch.equal(refused, rollout.trajectory.tokens[: len(DRAWS)])
    assert len(answers.keys.unique()) == len(answers.keys)
    study = Study(method, draws)
    assert study.logged("pairs/without") == [2]
    assert study.logged("pairs/too_long") == [1]
    accepted = Study(vrpo(pairs=pairs, task=JudgeTask(lambda response, gold: 1.0), group=1), draws)
    assert (accepted.losses, accepted.logged("pairs/without")) == ([], [8])


def test_who_writes() -> None:
    """The weights before training write the same whatever the student has become; the student does not."""
    method, untrained = vrpo(), vrpo(moved=0.0)
    prompts = CHAT.prompts(draw.example for draw in DRAWS)
    written = {}
    for name, it, writer in (
        ("start", method, method.reference),
        ("student", method, None),
        ("before", untrained, None),
    ):
        it.log_step = lambda values: None  # type: ignore[method-assign]
        written[name] = it.roll_out(DRAWS, prompts, writer=writer).trajectory.tokens
    assert torch.equal(written["start"], written["before"])
    assert not torch.equal(written["student"], written["before"])
    by = {
        writer: Study(vrpo(pairs=RolloutPairs(writer=writer, compare="accepted", match="random")))
        for writer in ("start", "student")
    }
    assert by["start"].logged("preference/chosen") != by["student"].logged("preference/chosen")


@pytest.mark.parametrize("is_new", [True, False])
def test_an_adapter_is_not_folded_into_the_weights_before_training(model: str, is_new: bool) -> None:
    network = add_lora(load_model(model.partition("=")[2], init="random"), r=2, alpha=4, dropout=0.1)
    if not is_new:
        move(network)
    method = VRPO(
        **shared(
            network=network,
            task=SOME,
            pairs=RolloutPairs(writer="start", compare="accepted", match="random"),
            rollout=Rollout(sampler=SAMPLER),
            likelihood=ELBO,
            beta=BETA,
            sft_weight=0.0,
            log_score_variance=False,
        )
    )
    tokens = torch.arange(12).view(2, 6)
    network.train()

    def logits(writer: Any) -> Tensor:
        with method._lent(writer) as denoiser, torch.no_grad():
            return denoiser(tokens, None, at=tokens[:, :3] % 6).logits()

    before = logits(None)
    move(network)
    torch.testing.assert_close(logits(method.reference), before, rtol=1e-4, atol=1e-5)
    assert (logits(None) - before).abs().max() > 1e-3


def move(network: torch.nn.Module) -> None:
    """Other weights than before, as after training."""
    with torch.no_grad():
        for parameter in (p for p in network.parameters() if p.requires_grad):
            parameter.add_(0.1)
