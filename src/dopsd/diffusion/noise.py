"""Counter-based randomness: an example sees the same numbers whatever the batch, the rank or the device."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

# The constants of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) as signed 64-bit integers.
_GOLDEN = -7046029254386353131
_MULTIPLY_1 = -4658895280553007687
_MULTIPLY_2 = -7723592293110705685
_RESOLUTION = 2.0**-52


def example_keys(
    seed: int,
    examples: Sequence[int],
    attempt: int | Int[Tensor, "B"] = 0,
    device: torch.device | str = "cpu",
) -> Int[Tensor, "B"]:
    """The random stream of each (seed, example, attempt) as one 64-bit key; integers name the examples.

    `attempt` is one for all, or one for each.
    """
    keys = torch.tensor([_signed(example) for example in examples], dtype=torch.int64, device=device)
    return derive(derive(_mix(keys + _GOLDEN), seed), attempt)


def derive(keys: Int[Tensor, "*shape"], counter: int | Int[Tensor, "..."]) -> Int[Tensor, "..."]:
    """Independent child keys, one for each value of `counter`; keys and counter broadcast against each other."""
    steps = (counter + 1) * _GOLDEN
    return _mix(keys + (_signed(steps) if isinstance(steps, int) else steps))


def uniform(keys: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Float64 numbers in the open interval (0, 1), one for each key, of 52 random bits (53 could round to 1)."""
    return (_shift_right(keys, 12).to(torch.float64) + 0.5) * _RESOLUTION


def gumbel(keys: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Standard Gumbel noise, one value for each key, in float64 so that the upper tail is not cut off."""
    return uniform(keys).neg_().log1p_().neg_().log_().neg_()


def _mix(x: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    x = (x ^ _shift_right(x, 30)) * _MULTIPLY_1
    x = (x ^ _shift_right(x, 27)) * _MULTIPLY_2
    return x ^ _shift_right(x, 31)


def _shift_right(x: Int[Tensor, "*shape"], bits: int) -> Int[Tensor, "*shape"]:
    """A logical shift: PyTorch shifts signed integers arithmetically."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _signed(number: int) -> int:
    """The low 64 bits of a Python integer in two's complement."""
    number &= (1 << 64) - 1
    return number - (1 << 64) if number >= 1 << 63 else number
