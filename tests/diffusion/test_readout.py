from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dopsd.diffusion import readout


def gradients(of: Callable[[torch.Tensor], torch.Tensor], hidden: torch.Tensor, head: nn.Linear) -> list:
    head.zero_grad()
    hidden = hidden.clone().requires_grad_()
    of(hidden).backward()
    return [hidden.grad, head.weight.grad]


@given(
    positions=st.integers(1, 9),
    vocabulary=st.integers(1, 7),
    budget=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_chunks_change_neither_values_nor_gradients(positions, vocabulary, budget, seed):
    random = torch.Generator().manual_seed(seed)
    head = nn.Linear(3, vocabulary, bias=False).double()
    hidden = torch.randn(positions, 3, generator=random, dtype=torch.float64)
    weight = torch.randn(positions, generator=random, dtype=torch.float64)

    def read(logits: torch.Tensor, weight: torch.Tensor) -> list[torch.Tensor]:
        return [logits.logsumexp(-1) * weight, logits]

    def chunked(hidden: torch.Tensor) -> torch.Tensor:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(readout, "LOGITS", budget)
            read_off, logits = readout.in_chunks(read, head, hidden, weight)
        return read_off.sum() + logits.square().sum()

    def whole(hidden: torch.Tensor) -> torch.Tensor:
        read_off, logits = read(head(hidden), weight)
        return read_off.sum() + logits.square().sum()

    torch.testing.assert_close(chunked(hidden), whole(hidden))
    for ours, expected in zip(gradients(chunked, hidden, head), gradients(whole, hidden, head), strict=True):
        torch.testing.assert_close(ours, expected)


def test_no_chunk_holds_more_logits_than_allowed(monkeypatch):
    monkeypatch.setattr(readout, "LOGITS", 20)
    seen = []

    def read(logits: torch.Tensor) -> list[torch.Tensor]:
        seen.append(logits.numel())
        return [logits[:, 0]]

    with torch.no_grad():
        [column] = readout.in_chunks(read, nn.Linear(3, 6, bias=False), torch.ones(10, 3))
    assert column.shape == (10,)
    assert max(seen) <= 20
    assert len(seen) == 4


def test_one_position_is_read_whatever_its_vocabulary(monkeypatch):
    monkeypatch.setattr(readout, "LOGITS", 1)
    [column] = readout.in_chunks(lambda logits: [logits[:, 0]], nn.Linear(3, 6, bias=False), torch.ones(2, 3))
    assert column.shape == (2,)
