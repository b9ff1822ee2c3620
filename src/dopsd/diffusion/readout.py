"""What is read off a large vocabulary: never more logits at once than a chunk holds."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint


@runtime_checkable
class Head(Protocol):
    """The vocabulary head of a network, a linear layer: hidden states in, logits out."""

    @property
    def out_features(self) -> int: ...

    def __call__(self, hidden: Float[Tensor, "*shape D"], /) -> Float[Tensor, "*shape V"]: ...


Read = TypeVar("Read")
Readout = Callable[[Float[Tensor, "B K D"], Head], Read]
"""What is made of the hidden states at some columns of each row, while the head is at hand."""

LOGITS = 1 << 22
"""Logits of one chunk on a CPU: 16 MiB in float32, 33 positions of LLaDA's vocabulary."""
ON_GPU = 8
"""How many times as many on a GPU, which reads the whole head (1 GB for LLaDA-8B) for each chunk."""


def in_chunks(
    read: Callable[..., Sequence[Tensor]], head: Head, hidden: Float[Tensor, "N D"], *beside: Tensor
) -> list[Tensor]:
    """`read(logits, *beside)` for all N positions, its tensors (first axis N) put together again.

    A few positions at a time: with gradients each chunk's logits are computed once more in the backward pass.
    """

    def read_chunk(hidden: Tensor, *beside: Tensor) -> Sequence[Tensor]:
        return read(head(hidden), *beside)

    rows = max(1, LOGITS * (ON_GPU if hidden.is_cuda else 1) // head.out_features)
    chunks = list(zip(*(tensor.split(rows) for tensor in (hidden, *beside)), strict=True))
    if len(chunks) == 1:
        return list(read_chunk(*chunks[0]))
    if torch.is_grad_enabled():
        parts = [checkpoint(read_chunk, *chunk, use_reentrant=False) for chunk in chunks]
    else:
        parts = [read_chunk(*chunk) for chunk in chunks]
    return [torch.cat(tensors) for tensors in zip(*parts, strict=True)]
