"""Masked-diffusion SFT against loops over rows, positions, masks and orders."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import permutations, product
from math import comb
from typing import Any

import numpy as np
import pytest
import torch
from attending import AttendingNetwork, block_network
from fakes import CHAT, EOS, EOT, MASK, TinyNetwork, example
from hypothesis import given
from hypothesis import strategies as st
from small_run import (
    EVERY_SECOND,
    NETWORK_SEED,
    NONE,
    SAMPLER,
    Study,
    assert_close,
    gradients_of,
    shared,
    train,
)
from torch import Tensor, nn

from dopsd.diffusion.hidden import Hidden
from dopsd.diffusion.noise import Purpose, derive, example_keys, uniform
from dopsd.method import sft as module
from dopsd.method.sft import SFT, RolloutSFT
from dopsd.method.text_sft import Solutions, TextSFT
from dopsd.model.visible import All, Causal
from dopsd.rollout import Rollout
from dopsd.stream import Draw

LENGTH = 8
DRAWS = [Draw(example=example(i, solution="bcdefgh"[: i % 7]), number=i) for i in range(9)]
FORMS = [(form, tail) for form in ("exact_count", "one_over_t") for tail in ("trained", "ignored")]


def sft(form: str = "exact_count", tail: str = "trained", **options: Any) -> TextSFT:
    own = {"source": Solutions(), "gen_length": LENGTH, "form": form, "tail": tail}
    return TextSFT(**(own | shared(network=TinyNetwork(2)) | options))


def naive_terms(method: SFT, draws: list[Draw]) -> Iterator[tuple[Tensor, float, bool]]:
    """-log p of every masked token, what it weighs, and whether it is the answer's, one unpadded row after another."""
    for draw in draws:
        prompt = CHAT.encode_prompt(draw.example.prompt)
        assert draw.example.solution is not None
        answer = [*CHAT.tokenizer.encode(draw.example.solution), EOT]
        tokens = answer + [EOS] * (LENGTH - len(answer))
        length = LENGTH if method.tail == "trained" else len(answer)
        key = example_keys(method.seed, [draw.number])
        masked = method._masked(key, (torch.arange(LENGTH) < length)[None])[0][0]
        assert not masked[length:].any()
        if method.form == "exact_count":
            weight = 1 / int(masked.sum())
        else:
            weight = 1 / (length * (0.999 * float(uniform(derive(key, Purpose.MASKED_RATIO))) + 0.001))
        canvas = [MASK if masked[i] else tokens[i] for i in range(LENGTH)]
        log_p = method.network(torch.tensor([prompt + canvas])).logits()[0, len(prompt) :].log_softmax(-1)
        for i in masked.nonzero()[:, 0].tolist():
            yield -log_p[i, tokens[i]], weight / len(draws), i < len(answer)


def naive_loss(method: SFT, draws: list[Draw]) -> Tensor:
    return sum((term * weight for term, weight, _ in naive_terms(method, draws)), torch.zeros(()))


@pytest.mark.parametrize("budget", [1, 50, 10**6])
@pytest.mark.parametrize(("form", "tail"), FORMS)
def test_loss_and_gradient_are_those_of_the_loop(form: str, tail: str, budget: int) -> None:
    method = sft(form, tail, micro_batch_tokens=budget, seed=1)
    study = Study(method, DRAWS)
    expected = naive_loss(method, DRAWS)
    method.network.zero_grad()
    expected.backward()
    assert study.logged("train/loss") == [pytest.approx(float(expected.detach()), rel=1e-4)]
    assert_close(study.gradients[0], gradients_of(method.network), rtol=1e-3)


@pytest.mark.parametrize(("form", "tail"), FORMS)
def test_answer_and_tail_are_logged_apart_as_the_mean_of_a_token(form: str, tail: str) -> None:
    method = sft(form, tail)
    study = Study(method, DRAWS)
    for name, wanted in (("answer", True), ("tail", False)):
        of_it = [
            (term.item(), weight) for term, weight, is_it in naive_terms(method, DRAWS) if is_it == wanted
        ]
        weights = [weight for _, weight in of_it]
        expected = [np.average([term for term, _ in of_it], weights=weights)] if of_it else []
        assert study.logged(f"sft/{name}_loss") == pytest.approx(expected, rel=1e-4)
    assert bool(study.logged("sft/tail_loss")) == (tail == "trained")


@pytest.mark.parametrize(("form", "tail"), FORMS)
def test_a_row_is_masked_by_its_draw_whatever_the_batch_and_the_rank(
    form: str, tail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Study(sft(form, tail), DRAWS)
    alone = [Study(sft(form, tail), [draw]) for draw in DRAWS]
    total = sum(sum(study.logged("train/loss")) for study in alone)
    assert whole.logged("train/loss") == [pytest.approx(total / len(DRAWS), rel=1e-5)]
    monkeypatch.setattr("dopsd.ranks.count", lambda: 2)
    monkeypatch.setattr("dopsd.ranks.add_up", lambda *tensors: None)
    parts = []
    for rank in (0, 1):
        monkeypatch.setattr("dopsd.ranks.this", lambda rank=rank: rank)
        parts.append(Study(sft(form, tail), DRAWS))
    assert whole.logged("train/loss")[0] == pytest.approx(
        sum(part.logged("train/loss")[0] for part in parts), rel=1e-5
    )
    first, second = (part.gradients[0] for part in parts)
    assert_close({name: first[name] + second[name] for name in first}, whole.gradients[0])


def solved(method: SFT, draw: Draw) -> tuple[list[int], list[int], int]:
    """Prompt and response of a draw, and how much of the response is learnt."""
    assert draw.example.solution is not None
    answer = [*CHAT.tokenizer.encode(draw.example.solution), EOT]
    learnt = LENGTH if method.tail == "trained" else len(answer)
    return CHAT.encode_prompt(draw.example.prompt), answer + [EOS] * (LENGTH - len(answer)), learnt


def of_the_next_token(method: SFT, draw: Draw) -> Tensor:
    """The mean of -log p of each token behind those before it, each in a row of its own."""
    prompt, tokens, learnt = solved(method, draw)
    nats = []
    for i in range(learnt):
        logits = method.network(torch.tensor([prompt + tokens[:i]]), reading="own").logits()
        nats.append(-logits[0, -1].log_softmax(-1)[tokens[i]])
    return torch.stack(nats).mean()


def of_blocks(method: SFT, draw: Draw) -> Tensor:
    """The exact mean over all masks of all blocks: of the means over k of the masked of n positions, n / L of it."""
    prompt, tokens, learnt = solved(method, draw)
    total = torch.zeros((), dtype=torch.float64)
    for first in range(0, learnt, 4):
        among = range(first, min(first + 4, learnt))
        for masked in product([False, True], repeat=len(among)):
            hidden = [i for i, is_masked in zip(among, masked, strict=True) if is_masked]
            if not hidden:
                continue
            block = [MASK if i in hidden else tokens[i] for i in range(first, first + 4)]
            log_p = (
                method.network(torch.tensor([prompt + tokens[:first] + block])).logits()[0].log_softmax(-1)
            )
            nats = sum(-log_p[len(prompt) + i, tokens[i]] for i in hidden) / len(hidden)
            total = total + nats / comb(len(among), len(hidden)) / learnt
    return total


@pytest.mark.parametrize("tail", ["trained", "ignored"])
def test_a_causal_network_learns_next_tokens(tail: str) -> None:
    method = sft(tail=tail, network=AttendingNetwork(Causal(), "next"), micro_batch_tokens=40)
    study = Study(method, DRAWS[:5])
    expected = torch.stack([of_the_next_token(method, draw) for draw in DRAWS[:5]]).mean()
    method.network.zero_grad()
    expected.backward()
    assert study.logged("train/loss") == [pytest.approx(float(expected.detach()), rel=1e-4)]
    assert_close(study.gradients[0], gradients_of(method.network), rtol=1e-3)


@pytest.mark.parametrize(("form", "tail"), FORMS)
def test_a_block_causal_network_learns_each_block_behind_finished_ones(form: str, tail: str) -> None:
    """On average over the masks of many draws of the same example."""
    method = sft(form, tail, network=block_network(4))
    method.log_step = lambda values: None
    many = [Draw(example=DRAWS[4].example, number=i) for i in range(1500)]
    views, _, reader = method._views(method.responses(many, CHAT.prompts(draw.example for draw in many)))
    with torch.no_grad():
        nats = -views.log_probability(reader).double() * views.weight * len(many)
        expected = float(of_blocks(method, DRAWS[4]))
    mean, error = float(nats.sum()) / len(many), float(nats.sum(1).std()) / len(many) ** 0.5
    assert abs(mean - expected) < 4 * error
    assert error < 0.1 * expected


class Table(nn.Module):
    """A network that is a table of logits: of each position, or, made from its canvas, of each canvas as well."""

    visible = All()

    def __init__(self, columns: int, *, seed: int = 0, of_the_canvas: bool = True):
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        rows = 17**2 if of_the_canvas else 1
        self.table = nn.Parameter(torch.randn(rows, columns, 16, generator=random, dtype=torch.float64))

    def forward(
        self, sequence: Tensor, attention_mask: Tensor | None = None, at: Tensor | None = None
    ) -> Hidden:
        powers = torch.tensor([17**i % 9973 for i in range(sequence.shape[1])])
        logits = self.table[(sequence * powers).sum(1) % len(self.table)]
        if at is not None:
            logits = logits.gather(1, at[..., None].expand(-1, -1, logits.shape[-1]))
        return Hidden(states=logits, head=_Identity())


class _Identity:
    out_features = 16

    def __call__(self, states: Tensor) -> Tensor:
        return states


def enumerated(
    monkeypatch: pytest.MonkeyPatch, form: str, length: int, solution: str, t: float = 0.5
) -> Iterator[tuple[list[bool], float]]:
    """The loss of one response under each mask; those of one_over_t with a given t."""
    for hidden in product((False, True), repeat=length):
        mask = torch.tensor([hidden])
        monkeypatch.setattr(
            module, "exact_count", lambda keys, among, mask=mask: (mask, 1 / mask.sum(1).double())
        )
        monkeypatch.setattr(
            module,
            "random_ratio_mask",
            lambda keys, among, mask=mask: (mask, torch.tensor([t], dtype=torch.float64)),
        )
        if form == "exact_count" and not any(hidden):
            continue
        method = sft(form, gen_length=length, network=Table(length + 3))
        study = Study(method, [Draw(example=example(0, solution=solution), number=0)])
        yield list(hidden), sum(study.logged("train/loss"))


def log_p_of_orders(length: int, tokens: Sequence[int]) -> Tensor:
    """log of the probability of writing one token after the other, for all orders."""
    network, prompt, found = Table(length + 3), CHAT.encode_prompt(example(0).prompt), []
    for order in permutations(range(length)):
        canvas, total = [MASK] * length, 0.0
        for i in order:
            logits = network(torch.tensor([prompt + canvas])).logits()[0, len(prompt) + i]
            total += logits.log_softmax(-1)[tokens[i]].item()
            canvas[i] = tokens[i]
        found.append(total)
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize(("length", "solution"), [(1, ""), (3, "bc"), (4, "bc"), (4, "")])
def test_the_mean_over_all_masks_is_that_over_all_orders_and_bounds_the_likelihood(
    length: int, solution: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One token a step in random order, which is not how answers are decoded."""
    losses = list(enumerated(monkeypatch, "exact_count", length, solution))
    expected = sum(loss / length / comb(length, sum(hidden)) for hidden, loss in losses)
    tokens = [*CHAT.tokenizer.encode(solution), EOT, *[EOS] * length][:length]
    orders = log_p_of_orders(length, tokens)
    assert expected == pytest.approx(float(-orders.mean() / length), rel=1e-5)
    assert expected * length >= float(-orders.exp().mean().log()) - 1e-6


@pytest.mark.parametrize("length", [1, 3, 4])
def test_one_over_t_has_the_same_mean_and_a_larger_variance(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss under a mask is 1/t times that at t = 1, so both moments are integrals over t alone."""
    exact = list(enumerated(monkeypatch, "exact_count", length, ""))
    at_half, at_one = (
        [loss for _, loss in enumerated(monkeypatch, "one_over_t", length, "", t=t)] for t in (0.5, 1.0)
    )
    assert at_half == pytest.approx([2 * loss for loss in at_one])
    log_t = np.linspace(np.log(1e-3), 0, 20_001)
    t, sets = np.exp(log_t), list(product((False, True), repeat=length))

    def moment(power: int) -> float:
        values = [
            np.trapezoid(
                t * t ** sum(hidden) * (1 - t) ** (length - sum(hidden)) * (loss / t) ** power, log_t
            )
            for hidden, loss in zip(sets, at_one, strict=True)
        ]
        return sum(values) / (1 - 1e-3)

    weights = [1 / length / comb(length, sum(hidden)) for hidden, _ in exact]
    mean = np.average([loss for _, loss in exact], weights=weights)
    variance = np.average([(loss - mean) ** 2 for _, loss in exact], weights=weights)
    assert moment(1) == pytest.approx(mean, rel=2e-3 * length)
    assert moment(2) - moment(1) ** 2 > 1.5 * variance


def test_only_masked_positions_have_gradients_and_no_prompt_token() -> None:
    draw, columns = DRAWS[3], len(CHAT.encode_prompt(DRAWS[3].example.prompt)) + LENGTH
    method = sft(network=Table(columns, of_the_canvas=False))
    study = Study(method, [draw])
    masked = method._masked(example_keys(method.seed, [draw.number]), torch.ones(1, LENGTH).bool())[0][0]
    has_gradient = (study.gradients[0]["table"][0] != 0).any(-1)
    assert has_gradient.tolist() == [False] * (columns - LENGTH) + masked.tolist()


def test_pairs_that_do_not_fit_are_counted_and_left_out() -> None:
    long = Draw(example=example(1, solution="a" * LENGTH), number=50)
    study, without = Study(sft(), [long, *DRAWS]), Study(sft(), DRAWS)
    assert study.logged("sft/too_long") == [1]
    assert without.logged("sft/too_long") == [0]
    assert study.logged("train/loss") == without.logged("train/loss")
    nothing = Study(sft(), [long])
    assert nothing.losses == []
    assert nothing.logged("sft/too_long") == [1]


@given(st.integers(0, 10**6), st.integers(1, 6))
def test_some_position_of_every_row_is_masked_whatever_the_company(number: int, rows: int) -> None:
    method, keys = sft(), example_keys(0, range(number, number + rows))
    masked, weight = method._masked(keys, torch.ones(rows, LENGTH).bool())
    assert masked.any(1).all()
    assert (weight * masked.sum(1) == 1).all()
    assert torch.equal(method._masked(keys[-1:], torch.ones(1, LENGTH).bool())[0], masked[-1:])


def test_a_batch_in_which_nothing_is_masked_is_no_step() -> None:
    method, one = sft("one_over_t", "ignored"), torch.ones(1, 1).bool()
    of_end = {bool(method._masked(example_keys(0, [n]), one)[0]): n for n in range(20)}
    empty, full = (
        Draw(example=example(0, solution=""), number=of_end[is_masked]) for is_masked in (False, True)
    )
    study = Study(method, [empty])
    assert study.losses == []
    assert study.logged("train/loss") == []
    both = Study(sft("one_over_t", "ignored"), [empty, full])
    alone = Study(sft("one_over_t", "ignored"), [full])
    assert both.logged("train/loss") == pytest.approx([alone.logged("train/loss")[0] / 2])


def test_training_learns_the_responses() -> None:
    method = sft(optimizer=lambda parameters: torch.optim.Adam(list(parameters), lr=0.02))
    solved = [Draw(example=example(i, solution="abc"), number=i) for i in range(6)]
    with torch.no_grad():
        first = float(naive_loss(method, solved))
    train(method, steps=40, draws=solved)
    with torch.no_grad():
        assert float(naive_loss(method, solved)) < 0.5 * first


def test_a_pair_without_a_solution_is_refused_by_id() -> None:
    with pytest.raises(ValueError, match="judge-3"):
        Study(sft(), [Draw(example=example(3), number=0)])


def on_rollouts(keep: str, **options: Any) -> RolloutSFT:
    rollout = Rollout(sampler=SAMPLER, max_attempts=4, keep=keep)  # type: ignore[arg-type]
    given_ = shared(network=TinyNetwork(NETWORK_SEED), **options)
    return RolloutSFT(rollout=rollout, form="exact_count", tail="trained", **given_)


@pytest.mark.parametrize("keep", ["first", "all"])
def test_accepted_rollouts_are_learnt_token_for_token(keep: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss is that of a loop over the accepted ones, whose own streams make the masks."""
    made = []
    roll_out = RolloutSFT.roll_out
    monkeypatch.setattr(RolloutSFT, "roll_out", lambda *given_: made.append(roll_out(*given_)) or made[-1])
    monkeypatch.setattr(type(CHAT), "encode_response", None)  # nothing is tokenized again
    method = on_rollouts(keep)
    study = Study(method, DRAWS[:6])
    [rollout] = made
    accepted = rollout.accepted.nonzero()[:, 0].tolist()
    assert 0 < len(accepted) < len(rollout)
    total = 0.0
    for row in accepted:
        tokens = rollout.trajectory.tokens[row]
        masked = method._masked(rollout.keys[[row]], torch.ones(1, len(tokens)).bool())[0][0]
        prompt = CHAT.encode_prompt(DRAWS[int(rollout.prompt[row])].example.prompt)
        sequence = torch.tensor([prompt + tokens.masked_fill(masked, MASK).tolist()])
        log_p = method.network(sequence).logits()[0, len(prompt) :].log_softmax(-1)
        total -= log_p[masked].gather(1, tokens[masked, None]).mean().item() / len(accepted)
    assert study.logged("train/loss") == [pytest.approx(total, rel=1e-4)]
    assert study.logged("train/examples") == [len(accepted)]
    assert study.logged("rollout/accepted") == [pytest.approx(len(accepted) / len(rollout))]


def test_keeping_all_learns_every_accepted_try_and_keeping_the_first_one_a_prompt() -> None:
    always = partial(on_rollouts, task=type(EVERY_SECOND)(lambda response, gold: 1.0))
    assert Study(always("all"), DRAWS[:3]).logged("train/examples") == [12]
    assert Study(always("first"), DRAWS[:3]).logged("train/examples") == [3]


def test_a_batch_in_which_nothing_is_accepted_is_no_step() -> None:
    study = Study(on_rollouts("all", task=NONE), DRAWS[:3])
    assert study.losses == []
    assert study.logged("rollout/accepted") == [0]
