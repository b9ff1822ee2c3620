"""The reference solutions of a batch as responses that nobody sampled."""

from collections.abc import Sequence

import torch

from dopsd.chat import Chat
from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.responses import Responses
from dopsd.diffusion.trajectory import Trajectory
from dopsd.stream import Draw


def solutions(batch: Sequence[Draw], prompts: Prompts, *, chat: Chat, seed: int, length: int) -> Responses:
    """Those that fit into a canvas of so many tokens; raises ValueError for an example that has none."""
    canvases, rows = chat.canvases(map(_solution, batch), length)
    device = prompts.tokens.device
    return Responses.of(
        Trajectory.given(canvases.to(device), block_length=length),
        prompts.rows(torch.tensor(rows, dtype=torch.int64, device=device)),
        example_keys(seed, [batch[row].number for row in rows], device=device),
        chat.special.end_ids,
    )


def _solution(draw: Draw) -> str:
    if draw.example.solution is None:
        raise ValueError(f"example {draw.example.id} has no reference solution, which this method needs")
    return draw.example.solution
