"""What a network returns: hidden states together with its vocabulary head, from which logits are read in chunks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils._pytree import register_pytree_node
from torch.utils.checkpoint import checkpoint

from dopsd.diffusion.confidence import forbid, log_probability_of

LOGITS = 1 << 22
"""Logits of one chunk on a CPU: 16 MiB in float32, 33 positions of LLaDA's vocabulary."""
ON_GPU = 8
"""How many times as many on a GPU, which reads the whole head (1 GB for LLaDA-8B) for each chunk."""


@runtime_checkable
class Head(Protocol):
    """The vocabulary head of a network, a linear layer: hidden states in, logits out."""

    @property
    def out_features(self) -> int: ...

    def __call__(self, hidden: Float[Tensor, "*shape D"], /) -> Float[Tensor, "*shape V"]: ...


@dataclass(frozen=True, kw_only=True)
class Hidden:
    """Hidden states at some positions, and the head that makes logits of them; an index chooses positions.

    Under classifier-free guidance `unprompted` has those of a masked prompt, and the logits are u + (s + 1) (c - u)
    for logits c with the prompt, u without it and the scale s (LLaDA's form).
    """

    states: Float[Tensor, "*shape D"]
    head: Head
    unprompted: Float[Tensor, "*shape D"] | None = None
    cfg_scale: float = 0.0

    def __getitem__(self, index: Any) -> "Hidden":
        return self._with(each[index] for each in self._each())

    @classmethod
    def joined(cls, parts: Sequence["Hidden"]) -> "Hidden":
        """The states of all parts, one after the other along the first axis."""
        return parts[0]._with(map(torch.cat, zip(*(part._each() for part in parts), strict=True)))

    def logits(self) -> Float[Tensor, "*shape V"]:
        """All of them at once: only for few positions of a large vocabulary."""
        conditional = self.head(self.states)
        if self.unprompted is None:
            return conditional
        unconditional = self.head(self.unprompted).float()
        return unconditional + (self.cfg_scale + 1) * (conditional.float() - unconditional)

    def map(self, read: Callable[..., Sequence[Tensor]], *beside: Tensor) -> list[Tensor]:
        """`read(logits, *beside)` of all positions, with never more logits at once than a chunk holds.

        `read` is given a flat part of the positions, (N, V) and (N, ...), and returns tensors (N, ...); the results
        have the positions' shape. With gradients each chunk's logits are computed once more in the backward pass.
        """
        shape = self.states.shape[:-1]
        flat = self._with(each.flatten(0, -2) for each in self._each())
        together = [each.flatten(0, len(shape) - 1) for each in beside]

        def read_chunk(places: slice) -> Sequence[Tensor]:
            return read(flat[places].logits(), *(each[places] for each in together))

        if len(chunks := flat._chunks()) > 1 and torch.is_grad_enabled():
            found = [checkpoint(read_chunk, places, use_reentrant=False) for places in chunks]
            joined = [torch.cat(parts) for parts in zip(*found, strict=True)]
        else:
            joined = flat._in_chunks(read_chunk)
        return [each.unflatten(0, shape) for each in joined]

    def log_probability(
        self, tokens: Int[Tensor, "*shape"], *, temperature: float = 1.0, forbidden: Sequence[int] = ()
    ) -> Float[Tensor, "*shape"]:
        """log p(token) at every position, in nats and float32; `forbidden` tokens have no part in the distribution."""

        def read(logits: Float[Tensor, "N V"], tokens: Int[Tensor, "N"]) -> list[Tensor]:
            logits = forbid(logits.float(), *forbidden)
            return [log_probability_of(logits if temperature == 1 else logits / temperature, tokens)]

        if torch.is_grad_enabled() and _is_frozen(self.head):
            return self._map_with_slope(read, tokens)
        return self.map(read, tokens)[0]

    def _map_with_slope(
        self, read: Callable[..., Sequence[Tensor]], beside: Tensor
    ) -> Float[Tensor, "*shape"]:
        """`map` of one number f(h) a position, whose slope df/dh is found with it: f + sum (h - h.detach()) slope.

        So each chunk's logits are computed once, and none of them for the backward pass.
        """
        flat = self._with(each.detach().flatten(0, -2) for each in self._each())
        together = beside.flatten()

        def value_and_slopes(places: slice) -> Sequence[Tensor]:
            chunk = flat._with(each[places].requires_grad_() for each in flat._each())
            with torch.enable_grad():
                [value] = read(chunk.logits(), together[places])
            return [value.detach(), *torch.autograd.grad(value.sum(), chunk._each())]

        value, *slopes = (each.unflatten(0, beside.shape) for each in flat._in_chunks(value_and_slopes))
        for each, slope in zip(self._each(), slopes, strict=True):
            value = value + ((each - each.detach()).float() * slope).sum(-1)
        return value

    def _each(self) -> list[Tensor]:
        return [self.states] if self.unprompted is None else [self.states, self.unprompted]

    def _with(self, tensors: Any) -> "Hidden":
        states, *unprompted = tensors
        return replace(self, states=states, unprompted=unprompted[0] if unprompted else None)

    def _in_chunks(self, read_chunk: Callable[[slice], Sequence[Tensor]]) -> list[Tensor]:
        """What is read of all chunks. Parts that are kept would stand between freed logits, which then fit nowhere."""
        first, *others = chunks = self._chunks()
        found = read_chunk(first)
        if not others:
            return [*found]
        joined = [each.new_empty(len(self.states), *each.shape[1:]) for each in found]
        for places in chunks:
            for whole, part in zip(joined, found if places is first else read_chunk(places), strict=True):
                whole[places] = part
        return joined

    def _chunks(self) -> list[slice]:
        """Slices of the flat positions; at least one, which may be empty."""
        logits_of_one = self.head.out_features * len(self._each())
        rows = max(1, LOGITS * (ON_GPU if self.states.is_cuda else 1) // logits_of_one)
        return [slice(start, start + rows) for start in range(0, max(1, len(self.states)), rows)]


def _is_frozen(head: Head) -> bool:
    return isinstance(head, nn.Module) and not any(weight.requires_grad for weight in head.parameters())


# Wrappers that look for the tensors in an output (FSDP's hooks) find them inside.
register_pytree_node(
    Hidden,
    lambda hidden: (hidden._each(), hidden),
    lambda tensors, hidden: hidden._with(tensors),
)
