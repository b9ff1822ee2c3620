"""Masked-diffusion SFT against a loop over rows and positions."""

import pytest
import torch
from fakes import CHAT, EOS, EOT, MASK, TinyNetwork, example
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from small_run import Study, assert_close, gradients_of, shared, train

from dopsd.diffusion.noise import example_keys
from dopsd.method.sft import SFT
from dopsd.stream import Draw

LENGTH = 8
DRAWS = [Draw(example=example(i, solution="bcdefgh"[: i % 7]), number=i) for i in range(9)]


def sft(**options) -> SFT:
    return SFT(gen_length=LENGTH, **shared(network=TinyNetwork(2), **options))


def naive_loss(method: SFT, draws: list[Draw]) -> torch.Tensor:
    """Cross-entropy over t at each masked position, one unpadded row after the other."""
    total = torch.zeros((), dtype=torch.float64)
    for draw in draws:
        ratio, masked = method._corrupt(example_keys(method.seed, [draw.number]))
        prompt = CHAT.encode_prompt(draw.example.prompt)
        assert draw.example.solution is not None
        answer = [*CHAT.tokenizer.encode(draw.example.solution), EOT]
        answer += [EOS] * (LENGTH - len(answer))
        canvas = [MASK if masked[0, i] else answer[i] for i in range(LENGTH)]
        log_p = method.network(torch.tensor([prompt + canvas]))[0, len(prompt) :].log_softmax(-1)
        for i in range(LENGTH):
            if masked[0, i]:
                total = total - log_p[i, answer[i]] / float(ratio[0])
    return total / (len(draws) * LENGTH)


@pytest.mark.parametrize("budget", [1, 50, 10**6])
@pytest.mark.parametrize("seed", [0, 1])
def test_loss_and_gradient_are_those_of_the_loop(budget, seed):
    method = sft(micro_batch_tokens=budget, seed=seed)
    study = Study(method, DRAWS)
    expected = naive_loss(method, DRAWS)
    method.network.zero_grad()
    expected.backward()
    assert study.logged("train/loss") == [pytest.approx(float(expected.detach()), rel=1e-4)]
    assert_close(study.gradients[0], gradients_of(method.network), rtol=1e-3)


def test_pairs_that_do_not_fit_are_counted_and_left_out():
    long = Draw(example=example(1, solution="a" * LENGTH), number=50)
    study, without = Study(sft(), [long, *DRAWS]), Study(sft(), DRAWS)
    assert study.logged("sft/too_long") == [1]
    assert without.logged("sft/too_long") == [0]
    assert study.logged("train/loss") == without.logged("train/loss")
    nothing = Study(sft(), [long])
    assert nothing.losses == []
    assert nothing.logged("sft/too_long") == [1]


@given(st.integers(0, 10**6), st.integers(1, 6))
def test_some_position_of_every_row_is_masked_whatever_the_company(number, rows):
    method = sft()
    keys = example_keys(0, range(number, number + rows))
    ratio, masked = method._corrupt(keys)
    assert masked.shape == (rows, LENGTH)
    assert masked.any(1).all()
    assert ((ratio >= method.smallest_ratio) & (ratio < 1)).all()
    alone = method._corrupt(keys[-1:])
    assert torch.equal(alone[0], ratio[-1:])
    assert torch.equal(alone[1], masked[-1:])


def test_the_mask_ratio_is_uniform_and_positions_are_masked_with_it():
    keys = example_keys(0, range(20_000))
    ratio, masked = sft()._corrupt(keys)
    assert stats.kstest(ratio.numpy(), "uniform").pvalue > 1e-3
    per_position = masked.double().mean(0)
    at_least_one = 0.5 + 1 / (LENGTH + 1) / LENGTH
    torch.testing.assert_close(per_position, torch.full_like(per_position, at_least_one), rtol=0, atol=0.012)
    high = ratio > 0.5
    shares = masked[high].double().mean(1)
    assert abs(float((shares - ratio[high]).mean())) < 0.01


def test_training_learns_the_responses():
    method = sft(optimizer=lambda parameters: torch.optim.Adam(list(parameters), lr=0.02))
    solved = [Draw(example=example(i, solution="abc"), number=i) for i in range(6)]
    with torch.no_grad():
        first = float(naive_loss(method, solved))
    train(method, steps=40, draws=solved)
    with torch.no_grad():
        assert float(naive_loss(method, solved)) < 0.5 * first


def test_a_pair_without_a_solution_is_refused_by_id():
    with pytest.raises(ValueError, match="judge-3"):
        Study(sft(), [Draw(example=example(3), number=0)])
