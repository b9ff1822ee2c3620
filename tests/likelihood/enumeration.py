"""Networks that are tables, and everything that can be enumerated with them, in float64 and by loops."""

from collections.abc import Callable, Iterator
from functools import cache
from itertools import permutations, product
from math import comb

import torch
from torch import Tensor

from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.trajectory import Trajectory
from dopsd.diffusion.views import Views
from dopsd.likelihood.likelihood import Likelihood

TOKENS, MASK = 3, 3
"""Three tokens and [MASK], which no network here ever writes."""

Canvas = tuple[int, ...]
Network = Callable[[Canvas, Canvas], Tensor]
"""`network(prompt, canvas)`: log-probabilities, (length of the canvas, TOKENS)."""


def table_network(seed: int, *, tokens: int = TOKENS, scale: float = 1.5) -> Network:
    """Every prompt and canvas has distributions of its own, related to no other's."""

    @cache
    def network(prompt: Canvas, canvas: Canvas) -> Tensor:
        number = seed
        for token in (*prompt, 9, *canvas):
            number = number * 11 + token + 1
        random = torch.Generator().manual_seed(number % 2**63)
        logits = torch.randn(len(canvas), tokens, generator=random, dtype=torch.float64)
        return (scale * logits).log_softmax(-1)

    return network


def log_p(network: Network, views: Views) -> Tensor:
    """log p of every view's tokens, (N, K)."""
    if not len(views):
        return torch.zeros(views.columns.shape, dtype=torch.float64)
    prompts = views.prompts.tokens.where(views.prompts.attention_mask, -1)
    inputs, which = torch.cat([prompts, views.canvas], 1).unique(dim=0, return_inverse=True)
    width = prompts.shape[1]
    tables = [network(tuple(t for t in row[:width] if t >= 0), tuple(row[width:])) for row in inputs.tolist()]
    return torch.stack(tables)[which[:, None], views.columns, views.tokens]


def values(
    likelihood: Likelihood, network: Network, views: Views, rows: int, positive: bool = True
) -> Tensor:
    """What the responses' log-probabilities are combined into."""
    return likelihood.combine(views, log_p(network, views), rows, positive=torch.full((rows,), positive))


def finished(
    responses: list[Canvas], step_maps: list[Canvas] | None = None, block_length: int | None = None
) -> Trajectory:
    """Trajectories with these tokens; unmasked from left to right, unless it is said how."""
    tokens = torch.tensor(responses)
    step_map = (
        torch.arange(tokens.shape[1]).expand_as(tokens) if step_maps is None else torch.tensor(step_maps)
    )
    return Trajectory(
        tokens=tokens,
        step_map=step_map,
        steps=torch.full((len(tokens),), tokens.shape[1]),
        block_length=block_length or tokens.shape[1],
    )


def prompts_of(prompts: list[Canvas]) -> Prompts:
    return Prompts.pad(prompts, 0)


def all_responses(length: int, tokens: int = TOKENS) -> list[Canvas]:
    return list(product(range(tokens), repeat=length))


def subsets(length: int) -> Iterator[tuple[frozenset[int], float]]:
    """Every non-empty set of positions with its probability: sizes are equally likely, and sets of a size are."""
    for chosen in product((False, True), repeat=length):
        size = sum(chosen)
        if size:
            yield (
                frozenset(i for i in range(length) if chosen[i]),
                1 / length / comb(length, size),
            )


def masked(response: Canvas, hidden: frozenset[int]) -> Canvas:
    return tuple(MASK if i in hidden else token for i, token in enumerate(response))


def log_p_masked(network: Network, prompt: Canvas, response: Canvas, hidden: frozenset[int]) -> float:
    """The sum of log p over the hidden positions."""
    table = network(prompt, masked(response, hidden))
    return sum(float(table[i, response[i]]) for i in hidden)


def orders(network: Network, prompt: Canvas, response: Canvas, among: range) -> list[float]:
    """The log-probability of writing the positions `among` one after the other, for each of their orders."""
    found = []
    for order in permutations(among):
        hidden, total = set(among), 0.0
        for i in order:
            total += float(network(prompt, masked(response, frozenset(hidden)))[i, response[i]])
            hidden.remove(i)
        found.append(total)
    return found
