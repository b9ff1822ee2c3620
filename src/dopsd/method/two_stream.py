"""Rows of two streams, [prompt | finished response | partly masked response]: a state of every block in one forward.

A masked block sees the finished blocks before it, and itself: what a block-causal network sees as it writes the block.
"""

from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dopsd.diffusion.denoiser import Denoiser
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.views import Views
from dopsd.model.visible import TwoStream


def two_stream_views(
    *,
    prompts: Prompts,
    finished: Int[Tensor, "B L"],
    masked: Bool[Tensor, "B L"],
    read: Bool[Tensor, "B L"],
    weight: Float[Tensor, "B"] | Float[Tensor, "B L"],
    mask_id: int,
) -> Views:
    """One row for each response, read at some of its masked positions; canvas and columns are those of both streams."""
    return Views.of(
        row=torch.arange(len(finished), device=finished.device),
        prompts=prompts,
        canvas=torch.cat([finished, finished.masked_fill(masked, mask_id)], 1),
        finished=finished.repeat(1, 2),
        read=torch.cat([torch.zeros_like(read), read], 1),
        weight=weight if weight.ndim == 1 else weight.repeat(1, 2),
    )


def finished_stream(views: Views) -> Views:
    """The same positions of the responses, in rows of prompt and finished response alone."""
    length = views.canvas.shape[1] // 2
    return replace(views, canvas=views.canvas[:, :length], columns=views.columns % length)


def two_stream(network: Denoiser, views: Views, *, block_length: int) -> Denoiser:
    """The network as it reads rows of two streams."""
    visible = TwoStream(block_length=block_length, gen_length=views.canvas.shape[1] // 2)
    return partial(network, visible=visible)
