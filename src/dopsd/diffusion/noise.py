"""Counter-based randomness: an example sees the same numbers whatever the batch, the rank or the device."""

from collections.abc import Sequence
from enum import IntEnum, unique

import torch
from jaxtyping import Float, Int
from torch import Tensor

# The constants of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) as signed 64-bit integers.
_GOLDEN = -7046029254386353131
_MULTIPLY_1 = -4658895280553007687
_MULTIPLY_2 = -7723592293110705685
_RESOLUTION = 2.0**-52
_NEVER = 1e9


@unique
class Purpose(IntEnum):
    """What a random number is for; no two purposes share a counter."""

    TOKEN = 1
    POSITION = 2
    REVEAL = 3
    STATE_SAMPLE = 4
    MASKED_COUNT = 5
    MASKED_POSITION = 6
    SHUFFLE = 7
    DROPOUT = 8
    MASKED_PROMPT = 20
    MASKED_CONTEXT = 21
    MASKED_RATIO = 22
    LIKELIHOOD_SAMPLE = 23
    LIKELIHOOD_MASK = 24
    LIKELIHOOD_OFFSET = 25
    LIKELIHOOD_BLOCK = 26
    INNER_UPDATE = 30
    PAIR = 40
    REGION = 50
    REGION_RATIO = 51
    REGION_ORDER = 52
    STATE_CHOICE = 53
    BLOCK_STATE = 60


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


def coarse_gumbel(keys: Int[Tensor, "*shape"], count: int) -> Float[Tensor, "*shape count"]:
    """Gumbel noise -log(-log u), `count` values for each key, of uniform numbers u rounded to bfloat16.

    The largest u below 1 is 1 - 2^-8, so the noise ends at 5.54; where rounding gives 1 (one u in 512) it is as good as
    -inf. A key makes four numbers of 16 bits: one key for each number would take four times as long.
    """
    fours = derive(keys[..., None], torch.arange(-(-count // 4), device=keys.device))
    u = fours.view(torch.int16)[..., :count].float().add_(2**15 + 0.5).mul_(2**-16).bfloat16().float()
    noise = u.log_().neg_().log_().neg_()
    return noise.masked_fill_(noise == torch.inf, -_NEVER)


def generator_seed(purpose: Purpose, *counters: int) -> int:
    """A seed for a generator of torch's own, where what it draws depends on the order of the draws."""
    key = torch.tensor([int(purpose)])
    for counter in counters:
        key = derive(key, counter)
    return int(key)


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
