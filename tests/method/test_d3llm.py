"""One d3LLM step against a loop over answers, the positions of their block and the vocabulary, in float64."""

import copy
from collections import Counter
from functools import cache, partial

import pytest
import torch
from fakes import CHAT, EOS, EOT, MASK, JudgeTask, TinyNetwork, example
from small_run import (
    DRAWS,
    EVERY_SECOND,
    NETWORK_SEED,
    NONE,
    Study,
    assert_close,
    gradients_of,
    shared,
    train,
)

from dopsd.diffusion.noise import Purpose, derive, example_keys, uniform
from dopsd.diffusion.sampler import BlockSampler
from dopsd.diffusion.views import Views
from dopsd.distillation.curriculum import BlockLength, MaskRatio
from dopsd.distillation.regions import random_order
from dopsd.method.d3llm import D3LLM, RolloutD3LLM, SolutionD3LLM
from dopsd.method.teacher_weights import EMAWeights, FixedWeights
from dopsd.rollout import Rollout, RolloutBatch
from dopsd.stream import Draw

LENGTH, STEP, STEPS = 12, 5, 10
ONE_TOKEN_A_STEP = partial(BlockSampler, gen_length=LENGTH, block_length=4, denoising_steps=LENGTH)
SAMPLER = ONE_TOKEN_A_STEP(temperature=1.0, early_exit=False)
ARMS = {
    "default": {},
    "written by the student": {"answers": "student"},
    "solutions": {"answers": "solutions", "order": "random"},
    "random order": {"order": "random"},
    "without the tail": {"tail": "ignored"},
    "everything": {"learn_from": "all"},
    "long blocks": {"block_length": BlockLength(lengths=(5, 12)), "entropy_weight": 0.7},
    "without entropy": {"entropy_weight": 0.0},
    "much masked": {"mask_ratio": MaskRatio(minimum=0.9, maximum=1.0), "entropy_temperature": 1.5},
}


def d3llm(answers: str = "teacher", **options) -> D3LLM:
    """A method whose student is no longer the network that it started from."""
    network = TinyNetwork(NETWORK_SEED)
    written = {
        "rollout": Rollout(sampler=SAMPLER, max_attempts=2),
        "learn_from": "accepted",
        "teacher_weights": FixedWeights() if answers == "teacher" else None,
    }
    defaults = {
        **({"gen_length": LENGTH} if answers == "solutions" else written),
        "max_steps": STEPS,
        "order": "own",
        "tail": "trained",
        "mask_ratio": MaskRatio(minimum=0.0, maximum=0.8),
        "block_length": BlockLength(lengths=(2, 2, 4, 4)),
        "entropy_weight": 2.0,
        "entropy_temperature": 0.5,
    }
    arm = SolutionD3LLM if answers == "solutions" else RolloutD3LLM
    method = arm(**shared(network=network, **(defaults | options)))
    random = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=random, dtype=parameter.dtype))
    return method


class AtStep(Study):
    """A training step in the middle of a training."""

    def __init__(self, method: D3LLM, draws: list[Draw] = DRAWS, step: int = STEP):
        training_step = method.training_step
        method.training_step = lambda batch, _: training_step(batch, step)  # type: ignore[method-assign]
        super().__init__(method, draws)


def written(network: torch.nn.Module, draw: Draw) -> RolloutBatch:
    """The rollout of one draw alone."""
    prompts, rollout = CHAT.prompts([draw.example]), Rollout(sampler=SAMPLER, max_attempts=2)
    return rollout.collect(network, [draw], prompts, chat=CHAT, task=EVERY_SECOND, seed=0)


@cache
def written_at_the_start(draw: Draw) -> RolloutBatch:
    """By the weights before training, which are those of every test."""
    return written(TinyNetwork(NETWORK_SEED), draw)


def answers(method: D3LLM, draws: list[Draw]):
    """Prompt, tokens, step map and key of each answer, one draw after the other."""
    for draw in draws:
        prompts = CHAT.prompts([draw.example])
        prompt = prompts.tokens[0].tolist()
        if not isinstance(method, RolloutD3LLM):
            tokens = CHAT.encode_response(draw.example.solution or "")
            key = example_keys(0, [draw.number])
            yield prompt, tokens + [EOS] * (LENGTH - len(tokens)), None, key
            continue
        found = written(method.network, draw) if method._writer is None else written_at_the_start(draw)
        if found.verdicts[0].accepted or method.learn_from == "all":
            yield (
                prompt,
                found.trajectory.tokens[0].tolist(),
                found.trajectory.step_map[0].tolist(),
                found.keys,
            )


def block_and_masks(method: D3LLM, tokens, times, key, step: int) -> tuple[range, set[int]]:
    """R and m, from the published description and the row's own random numbers."""
    ends = [i for i, token in enumerate(tokens) if token in (EOS, EOT)]
    length = ends[0] if ends else LENGTH
    end = LENGTH if method.tail == "trained" or not ends else ends[0] + 1
    size = method.block_length.at(step, STEPS)
    last = min(length, end - 1) // size
    block = int(float(uniform(derive(key, Purpose.REGION))) * (last + 1))
    region = range(block * size, end if block == last else (block + 1) * size)
    least = method.mask_ratio.least(step, STEPS)
    t = least + (method.mask_ratio.maximum - least) * float(uniform(derive(key, Purpose.REGION_RATIO)))
    if method.order == "random":
        times = random_order(key, LENGTH)[0].tolist()
    in_order = sorted(region, key=lambda i: times[i])
    shown = min(int((1 - t) * len(region)), len(region) - 1)
    return region, {i for i in region if times[i] >= times[in_order[shown]]}


def naive_loss(method: D3LLM, draws: list[Draw] = DRAWS, step: int = STEP) -> tuple[torch.Tensor, ...]:
    """L, CE1, CE2, H and the share of m that is right."""
    nats: dict[int, list[torch.Tensor]] = {1: [], 2: []}
    entropies = []
    for prompt, tokens, times, key in answers(method, draws):
        region, masked = block_and_masks(method, tokens, times, key, step)
        for view, hidden in ((1, masked), (2, set(region) - masked)):
            canvas = [MASK if i in hidden or i >= region.stop else tokens[i] for i in range(LENGTH)]
            logits = method.network(torch.tensor([prompt + canvas])).logits()[0, len(prompt) :]
            for i in sorted(hidden):
                nats[view].append(-logits[i].log_softmax(-1)[tokens[i]])
                if view == 1 and int(logits[i].argmax()) == tokens[i]:
                    p = (logits[i] / method.entropy_temperature).softmax(-1)
                    entropies.append(-(p * p.log()).sum())
    zero = torch.zeros((), dtype=torch.float64)
    ce1, ce2 = (torch.stack(nats[view]).mean() if nats[view] else zero for view in (1, 2))
    entropy = torch.stack(entropies).mean() if entropies else zero
    share = torch.tensor(len(entropies) / len(nats[1]))
    return (ce1 + ce2 + method.entropy_weight * entropy) / 4, ce1, ce2, entropy, share


@pytest.mark.parametrize("arm", ARMS)
def test_loss_figures_and_gradient_are_those_of_the_loop(arm):
    method = d3llm(**ARMS[arm])
    study = AtStep(method)
    loss, *figures = naive_loss(method)
    method.network.zero_grad()
    loss.backward()
    assert study.logged("train/loss") == [pytest.approx(float(loss.detach()), rel=1e-4)]
    for key, figure in zip(("ce1", "ce2", "entropy", "right"), figures, strict=True):
        assert study.logged(f"d3llm/{key}") == [pytest.approx(float(figure.detach()), rel=1e-4)], key
    assert_close(study.gradients[0], gradients_of(method.network), rtol=1e-3)


@pytest.mark.parametrize("arm", ["default", "solutions", "much masked"])
def test_micro_batches_of_any_token_budget_give_the_same_step(arm):
    whole = AtStep(d3llm(**ARMS[arm]))
    for budget in (1, 40):
        parts = AtStep(d3llm(**ARMS[arm], micro_batch_tokens=budget))
        assert parts.micro_batches > whole.micro_batches == [1]
        assert_close(parts.gradients[0], whole.gradients[0])
        for parted, row in zip(parts.rows, whole.rows, strict=True):
            assert parted == pytest.approx(row, rel=1e-4, abs=1e-6)


def test_the_arms_differ_and_have_right_tokens():
    studies = [AtStep(d3llm(**arm)) for arm in ARMS.values()]
    assert len({float(study.losses[0]) for study in studies}) == len(ARMS)
    assert sum(study.logged("d3llm/right")[0] > 0 for study in studies) > len(ARMS) / 2


def test_each_token_of_a_block_and_no_other_is_a_target_exactly_once(monkeypatch):
    targets: Counter[tuple[int, int]] = Counter()
    monkeypatch.setattr(D3LLM, "_learn", lambda self, views, is_first: targets.update(scored(views)))

    def scored(views: Views) -> list[tuple[int, int]]:
        return [(int(views.row[v]), int(views.columns[v, k])) for v, k in views.is_real.nonzero()]

    method = d3llm(learn_from="all")
    AtStep(method)
    wanted = []
    for row, (_, tokens, times, key) in enumerate(answers(method, DRAWS)):
        region, _ = block_and_masks(method, tokens, times, key, STEP)
        wanted += [(row, place) for place in region]
    assert targets == Counter(wanted)
    assert len(wanted) < len(DRAWS) * LENGTH


def test_in_its_own_order_a_block_of_the_rollout_is_masked_as_in_a_state_that_was_visited(monkeypatch):
    seen: list[tuple[torch.Tensor, ...]] = []
    region_of = D3LLM._region

    def spy(self, written, step):
        region, masked = region_of(self, written, step)
        seen.append((written.trajectory.step_map, region, masked))
        return region, masked

    monkeypatch.setattr(D3LLM, "_region", spy)
    AtStep(d3llm(block_length=BlockLength(lengths=(4,)), learn_from="all"))
    [(step_map, region, masked)] = seen
    for row in range(len(step_map)):
        states = [region[row] & (step_map[row] >= s) for s in range(LENGTH)]
        assert any(torch.equal(masked[row], state) for state in states)


def test_without_entropy_and_in_random_order_it_is_sft_on_blocks():
    method = d3llm(answers="solutions", order="random", entropy_weight=0.0)
    study = AtStep(method)
    _, ce1, ce2, *_ = naive_loss(method)
    expected = (ce1 + ce2) / 4
    method.network.zero_grad()
    expected.backward()
    assert study.logged("train/loss") == [pytest.approx(float(expected.detach()), rel=1e-4)]
    assert_close(study.gradients[0], gradients_of(method.network), rtol=1e-3)


def test_right_tokens_are_counted_beforehand_only_where_their_entropy_is_learnt():
    for weight in (0.0, 2.0):
        method = d3llm(entropy_weight=weight)
        AtStep(method)
        spent = method.budget.spent
        assert (spent["no_gradient_forwards"] > 0) == (weight > 0)
        assert spent["training_forwards"] > 0


def test_a_step_late_in_the_training_has_other_blocks_and_masks():
    early, late = (AtStep(d3llm(), step=step) for step in (0, STEPS - 1))
    assert early.logged("rollout/accepted") == late.logged("rollout/accepted")
    assert float(early.losses[0]) != pytest.approx(float(late.losses[0]))


def test_solutions_that_do_not_fit_are_counted_and_left_out():
    long = Draw(example=example(1, solution="a" * LENGTH), number=50)
    options = {"answers": "solutions", "order": "random"}
    study, without = AtStep(d3llm(**options), [long, *DRAWS]), AtStep(d3llm(**options), DRAWS)
    assert study.logged("d3llm/too_long") == [1]
    assert study.logged("train/loss") == pytest.approx(without.logged("train/loss"))
    nothing = AtStep(d3llm(**options), [long])
    assert nothing.losses == []
    assert nothing.logged("d3llm/too_long") == [1]


def test_a_batch_in_which_nothing_is_accepted_is_logged_and_makes_no_update():
    study = AtStep(d3llm(task=NONE))
    assert study.losses == []
    assert study.logged("rollout/accepted") == [0]
    assert study.logged("train/loss") == []


def test_training_lowers_the_loss_and_answers_of_the_start_stay_the_same():
    method = d3llm(optimizer=lambda parameters: torch.optim.Adam(list(parameters), lr=0.02), max_steps=20)
    before = AtStep(copy.deepcopy(method))
    train(method, steps=20)
    after = AtStep(method)
    assert float(after.losses[0]) < 0.8 * float(before.losses[0])
    assert after.logged("rollout/length") == before.logged("rollout/length")


class Solved(JudgeTask):
    """A task with solutions."""

    def examples(self, split):
        return [example(0, solution="ab")]


def check(**options) -> None:
    given = {
        "task": EVERY_SECOND,
        "rollout": Rollout(sampler=SAMPLER, max_attempts=2),
        "teacher_weights": FixedWeights(),
        "order": "own",
        "tail": "trained",
        "block_length": BlockLength(lengths=(4,)),
    }
    RolloutD3LLM.check(**(given | options))


def check_solutions(**options) -> None:
    given = {
        "task": Solved(lambda response, gold: 0.0),
        "gen_length": LENGTH,
        "order": "random",
        "block_length": BlockLength(lengths=(4,)),
    }
    SolutionD3LLM.check(**(given | options))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"teacher_weights": EMAWeights()}, "teacher_weights=ema: must be fixed or checkpoint"),
        ({"block_length": BlockLength(lengths=(4, 16))}, "block_lengths=16: must be at most gen_length=12"),
        (
            {"rollout": Rollout(sampler=ONE_TOKEN_A_STEP(temperature=1.0))},
            "parity.early_exit=true: needs tail=ignored or order=random",
        ),
    ],
)
def test_what_could_not_train_is_refused(options, line):
    check()
    with pytest.raises(ValueError, match=line):
        check(**options)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"task": EVERY_SECOND}, "answers=solutions: needs reference solutions"),
        ({"order": "own"}, "order=own: must be random with answers=solutions"),
        ({"block_length": BlockLength(lengths=(16,))}, "block_lengths=16: must be at most gen_length=12"),
    ],
)
def test_solutions_that_could_not_train_are_refused(options, line):
    check_solutions()
    with pytest.raises(ValueError, match=line):
        check_solutions(**options)
