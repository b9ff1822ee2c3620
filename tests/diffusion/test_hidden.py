"""What is read of hidden states in chunks: the same values and gradients, and never more logits at once."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map

from dopsd.diffusion import hidden as module
from dopsd.diffusion.hidden import Hidden


def states(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def head(vocabulary: int) -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(3, vocabulary, bias=False).double()


def gradients(of: Callable[[torch.Tensor], torch.Tensor], states: torch.Tensor, head: nn.Linear) -> list:
    head.zero_grad()
    states = states.clone().requires_grad_()
    of(states).backward()
    return [states.grad, head.weight.grad]


@given(
    rows=st.integers(1, 3),
    positions=st.integers(1, 5),
    vocabulary=st.integers(1, 7),
    budget=st.integers(1, 40),
    is_guided=st.booleans(),
    seed=st.integers(0, 99),
)
def test_chunks_change_neither_values_nor_gradients(rows, positions, vocabulary, budget, is_guided, seed):
    output, given_states = head(vocabulary), states(rows, positions, seed=seed)
    weight = torch.randn(rows, positions, dtype=torch.float64)

    def read(logits: torch.Tensor, weight: torch.Tensor) -> list[torch.Tensor]:
        return [logits.logsumexp(-1) * weight, logits]

    def hidden(states: torch.Tensor) -> Hidden:
        return Hidden(
            states=states, head=output, unprompted=states.sin() if is_guided else None, cfg_scale=0.7
        )

    def chunked(states: torch.Tensor) -> torch.Tensor:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "LOGITS", budget)
            read_off, logits = hidden(states).map(read, weight)
        assert read_off.shape == (rows, positions)
        assert logits.shape == (rows, positions, vocabulary)
        return read_off.sum() + logits.square().sum()

    def whole(states: torch.Tensor) -> torch.Tensor:
        read_off, logits = read(hidden(states).logits(), weight)
        return read_off.sum() + logits.square().sum()

    torch.testing.assert_close(chunked(given_states), whole(given_states), rtol=1e-6, atol=1e-6)
    ours, expected = (gradients(of, given_states, output) for of in (chunked, whole))
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)  # guidance is in float32


@pytest.mark.parametrize(("is_guided", "calls"), [(False, 4), (True, 10)])
def test_no_chunk_holds_more_logits_than_allowed(monkeypatch, is_guided, calls):
    monkeypatch.setattr(module, "LOGITS", 20)
    seen = []

    def read(logits: torch.Tensor) -> list[torch.Tensor]:
        seen.append(logits.numel() * (2 if is_guided else 1))
        return [logits[:, 0]]

    given_states = states(2, 5)
    with torch.no_grad():
        [column] = Hidden(
            states=given_states, head=head(6), unprompted=given_states if is_guided else None
        ).map(read)
    assert column.shape == (2, 5)
    assert max(seen) <= 20
    assert len(seen) == calls


def test_one_position_is_read_whatever_its_vocabulary_and_none_gives_nothing(monkeypatch):
    monkeypatch.setattr(module, "LOGITS", 1)
    for positions in (2, 0):
        [column] = Hidden(states=states(1, positions), head=head(6)).map(lambda logits: [logits[:, 0]])
        assert column.shape == (1, positions)


def test_log_probabilities_are_those_of_a_categorical_distribution_without_what_is_forbidden():
    hidden, tokens = Hidden(states=states(2, 4), head=head(6)), torch.randint(1, 5, (2, 4))
    logits = hidden.logits()
    expected = torch.distributions.Categorical(logits=logits).log_prob(tokens)
    torch.testing.assert_close(hidden.log_probability(tokens), expected.float())
    logits = logits.index_fill(-1, torch.tensor([0, 5]), -torch.inf) / 0.7
    expected = torch.distributions.Categorical(logits=logits).log_prob(tokens)
    found = hidden.log_probability(tokens, temperature=0.7, forbidden=(0, 5))
    torch.testing.assert_close(found, expected.float())


def test_guidance_moves_logits_away_from_those_without_the_prompt():
    conditional, unconditional, output = states(2, 4), states(2, 4, seed=1), head(6)
    guided = Hidden(states=conditional, head=output, unprompted=unconditional, cfg_scale=1.5)
    with_prompt, without = output(conditional), output(unconditional)
    torch.testing.assert_close(guided.logits(), (without + 2.5 * (with_prompt - without)).float())
    torch.testing.assert_close(guided[1, 2:].logits(), guided.logits()[1, 2:])
    joined = Hidden.joined([guided[:1], guided[1:]])
    torch.testing.assert_close(joined.logits(), guided.logits())


def test_wrappers_find_the_tensors_inside():
    guided = Hidden(states=states(2), head=head(6), unprompted=states(2, seed=1), cfg_scale=1.0)
    assert len(tree_leaves(guided)) == 2
    doubled = tree_map(lambda tensor: 2 * tensor, guided)
    torch.testing.assert_close(doubled.logits(), 2 * guided.logits())


@pytest.mark.parametrize("is_guided", [False, True])
@pytest.mark.parametrize("budget", [1, 20, 10**6])
def test_a_frozen_head_reads_log_probabilities_once_and_gives_their_gradient(monkeypatch, budget, is_guided):
    monkeypatch.setattr(module, "LOGITS", budget)
    output, given_states, weight = head(6), states(2, 5), states(2, 5, seed=2)[..., 0]
    tokens, calls = torch.arange(10).view(2, 5) % 5, []
    output.register_forward_hook(lambda *_: calls.append(1))

    def gradient(of: Callable[[Hidden], torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        leaf = given_states.clone().requires_grad_()
        unprompted = leaf.sin() if is_guided else None
        found = of(Hidden(states=leaf, head=output, unprompted=unprompted, cfg_scale=0.7))
        (found * weight).sum().backward()
        return found.detach(), leaf.grad

    def categorical(hidden: Hidden) -> torch.Tensor:
        logits = hidden.logits().index_fill(-1, torch.tensor([5]), -torch.inf) / 0.7
        return torch.distributions.Categorical(logits=logits).log_prob(tokens)

    output.requires_grad_(False)
    expected = gradient(categorical)
    calls.clear()
    found = gradient(lambda hidden: hidden.log_probability(tokens, temperature=0.7, forbidden=(5,)))
    assert len(calls) == (1 + is_guided) * -(-10 // max(1, budget // (6 * (1 + is_guided))))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6, check_dtype=False)
