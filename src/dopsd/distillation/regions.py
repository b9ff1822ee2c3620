"""One block of a response with its left clean and its right masked, seen in two complementary views (d3LLM)."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dopsd.diffusion.choose import columns_of
from dopsd.diffusion.noise import Purpose, derive, uniform
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.views import Views


def draw_region(
    lengths: Int[Tensor, "B"],
    ends: Int[Tensor, "B"],
    keys: Int[Tensor, "B"],
    *,
    block_length: int,
    canvas: int,
) -> Bool[Tensor, "B L"]:
    """R = [j b, (j + 1) b) with j ~ U{0..floor(length / b)} for each row; that of the last j goes on up to `end`.

    `ends` is the canvas where the tail behind the answer is trained (as published), the length where it is not.
    """
    last = torch.minimum(lengths, ends - 1).clamp(min=0) // block_length
    block = (uniform(derive(keys, Purpose.REGION)) * (last + 1)).long()
    start = block * block_length
    stop = torch.where(block == last, ends, start + block_length)
    columns = torch.arange(canvas, device=keys.device)
    return (columns >= start[:, None]) & (columns < stop[:, None])


def random_order(keys: Int[Tensor, "B"], canvas: int) -> Int[Tensor, "B L"]:
    """An unmasking order as a `step_map` of one token a step, every order as likely."""
    columns = torch.arange(canvas, device=keys.device)
    return uniform(derive(derive(keys, Purpose.REGION_ORDER)[:, None], columns)).argsort(-1)


def masked_in(
    region: Bool[Tensor, "B L"], step_map: Int[Tensor, "B L"], ratio: Float[Tensor, "B"]
) -> Bool[Tensor, "B L"]:
    """m: the positions of R masked before the step that unmasks the (floor((1 - t) |R|) + 1)-th of R.

    With one token a step m has |R| - floor((1 - t) |R|) positions; at least one is masked. Only the order inside R
    counts: R need not be a block of the order's own.
    """
    size = region.sum(1)
    unmasked = ((1 - ratio) * size).long().minimum(size - 1).clamp(min=0)
    in_order = step_map.masked_fill(~region, torch.iinfo(step_map.dtype).max).sort(1).values
    return region & (step_map >= in_order.gather(1, unmasked[:, None]))


def complementary_views(
    finished: Int[Tensor, "B L"],
    region: Bool[Tensor, "B L"],
    masked: Bool[Tensor, "B L"],
    prompts: Prompts,
    *,
    mask_id: int,
) -> Views:
    """2 B views: first those with m masked in R, of all rows, then those with R without m; each scores what it masks.

    A token weighs 1 / (all tokens scored in views of its kind): CE1 + CE2 = -sum(weight * log p) over all views.
    """
    row = torch.arange(len(finished), device=finished.device).repeat(2)
    behind = ~region & (region.cumsum(1) == region.sum(1, keepdim=True))
    scored = torch.cat([masked, region & ~masked])
    columns, is_real = columns_of(scored, int(scored.sum(1).max()))
    counts = scored.view(2, -1).sum(1).clamp(min=1).repeat_interleave(len(finished))
    return Views(
        row=row,
        prompts=prompts.rows(row),
        canvas=finished[row].masked_fill(scored | behind[row], mask_id),
        columns=columns,
        is_real=is_real,
        tokens=finished[row].gather(1, columns),
        weight=is_real / counts[:, None].float(),
    )


def right_entropy(
    logits: Float[Tensor, "N V"], tokens: Int[Tensor, "N"], *, temperature: float
) -> tuple[Float[Tensor, "N"], Bool[Tensor, "N"]]:
    """The entropy of softmax(logits / temperature) in nats where the most likely token is right, and where it is.

    Elsewhere it is 0 and has no gradient.
    """
    right = logits.argmax(-1) == tokens
    scaled = logits.float() / temperature
    entropy = torch.distributions.Categorical(logits=scaled, validate_args=False).entropy()
    return entropy.where(right, 0.0), right
