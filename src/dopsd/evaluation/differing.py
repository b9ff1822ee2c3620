"""How far two decodings of the same examples differ, token by token."""

from collections.abc import Sequence
from itertools import zip_longest


def differing(some: Sequence[Sequence[int]], others: Sequence[Sequence[int]]) -> float:
    """The share of tokens that differ between two lists of answers, each pair up to the end of its longer answer.

    Raises ValueError where the lists are not equally long.
    """
    pairs = list(zip(some, others, strict=True))
    tokens = sum(max(map(len, pair)) for pair in pairs)
    different = sum(a != b for pair in pairs for a, b in zip_longest(*pair))
    return different / max(tokens, 1)
