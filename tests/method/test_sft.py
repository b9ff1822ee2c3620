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
    """Mean over rows of the mean cross-entropy at masked positions, one unpadded row after the other."""
    total = torch.zeros((), dtype=torch.float64)
    for draw in draws:
        masked = method._masked(example_keys(method.seed, [draw.number]))
        prompt = CHAT.encode_prompt(draw.example.prompt)
        assert draw.example.solution is not None
        answer = [*CHAT.tokenizer.encode(draw.example.solution), EOT]
        answer += [EOS] * (LENGTH - len(answer))
        canvas = [MASK if masked[0, i] else answer[i] for i in range(LENGTH)]
        log_p = method.network(torch.tensor([prompt + canvas])).logits()[0, len(prompt) :].log_softmax(-1)
        for i in range(LENGTH):
            if masked[0, i]:
                total = total - log_p[i, answer[i]] / int(masked.sum())
    return total / len(draws)


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
    masked = method._masked(keys)
    assert masked.shape == (rows, LENGTH)
    assert masked.any(1).all()
    assert torch.equal(method._masked(keys[-1:]), masked[-1:])


def test_every_number_of_masked_positions_is_as_likely_and_so_is_every_position():
    masked = sft()._masked(example_keys(0, range(20_000)))
    counts = masked.sum(1)
    assert stats.chisquare(counts.bincount(minlength=LENGTH + 1)[1:].numpy()).pvalue > 1e-3
    for count in (1, 3, LENGTH - 1):
        assert stats.chisquare(masked[counts == count].sum(0).numpy()).pvalue > 1e-3


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
