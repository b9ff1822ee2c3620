"""Attention of any structure: float32 rotary positions, and one mask a forward for every layer."""

from functools import lru_cache
from typing import no_type_check

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaRMSNorm, eager_attention_forward

from dopsd.model.configuration import LLaDAConfig
from dopsd.model.visible import All, Visible


class BidirectionalAttention(LlamaAttention):
    """Llama's attention with no mask but the given one, rotated in float32 (LLaDA's rope_full_precision)."""

    def __init__(self, config: LLaDAConfig, layer_idx: int):
        super().__init__(config, layer_idx)  # pyright: ignore[reportArgumentType]
        self.is_causal = False
        if config.include_qkv_bias:  # of these three, as in Qwen2
            self.o_proj = nn.Linear(config.n_heads * self.head_dim, config.d_model, bias=False)
        norms = [
            LlamaRMSNorm(self.head_dim, eps=config.rms_norm_eps) if config.qk_norm else nn.Identity()
            for _ in "qk"
        ]
        self.q_norm, self.k_norm = norms

    def forward(self, hidden, *, angles, mask, queries, query_angles, cache, active):  # pyright: ignore
        """Attend from `queries` (hidden states at some columns) to what the mask leaves of all columns.

        `hidden` gives keys and values: of all columns, or of the `active` ones, the others standing in the cache.
        """
        key = rotate(self.k_norm(self._heads(self.k_proj(hidden))), angles)
        value = self._heads(self.v_proj(hidden))
        if active is not None:
            key, value = cache.renew(active, key, value)
        elif cache is not None:
            cache.fill(key, value)
        query = rotate(self.q_norm(self._heads(self.q_proj(queries))), query_angles)
        arm = self.config._attn_implementation or "eager"
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(arm, eager_attention_forward)
        dropout = self.attention_dropout if self.training else 0.0
        mixed, _ = attend(self, query, key, value, mask, dropout=dropout, scaling=self.scaling)
        return self.o_proj(mixed.reshape(*queries.shape[:-1], -1))

    def _heads(self, projected: Float[Tensor, "B S HD"]) -> Float[Tensor, "B H S D"]:
        return projected.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)


def rotate(x: Float[Tensor, "B H S D"], angles: tuple[Tensor, Tensor]) -> Float[Tensor, "B H S D"]:
    """Rotate each (i, i + D/2) pair by its position's angle in float32 and return the dtype that came in."""
    cos, sin = angles
    full = x.float()
    return (full * cos).add_(full.roll(x.shape[-1] // 2, dims=-1).mul_(sin)).to(x.dtype)


def rotary_angles(positions: Int[Tensor, "R S"], config: LLaDAConfig) -> tuple[Tensor, Tensor]:
    """The float32 cosines and sines (R, 1, S, D) of `rotate`, the sines negative in the first half of D.

    No buffer, so that no cast of the model coarsens them.
    """
    head_dim = config.head_dim
    assert head_dim is not None
    exponent = torch.arange(0, head_dim, 2, device=positions.device, dtype=torch.float32) / head_dim
    frequencies = 1.0 / config.rope_theta**exponent
    if config.rope_llama3 is not None:
        stretch = tuple(sorted(config.rope_llama3.items()))
        frequencies = _stretched(head_dim, config.rope_theta, stretch).to(positions.device)
    angle = positions[:, None, :, None].float() * frequencies
    cos, sin = angle.cos(), angle.sin()
    return torch.cat((cos, cos), dim=-1), torch.cat((-sin, sin), dim=-1)


@lru_cache
def _stretched(
    head_dim: int, theta: float, stretch: tuple[tuple[str, str | int | float], ...]
) -> Float[Tensor, "half"]:
    """The frequencies of Llama 3.1: the slow ones are slower still."""
    rope = {"rope_theta": theta, **dict(stretch)}
    return ROPE_INIT_FUNCTIONS["llama3"](LlamaConfig(head_dim=head_dim, rope_parameters=rope))[0]


def at_columns(hidden: Float[Tensor, "B S D"], columns: Int[Tensor, "B K"]) -> Float[Tensor, "B K D"]:
    """The hidden states at some columns of each row."""
    return hidden.gather(1, columns[:, :, None].expand(-1, -1, hidden.shape[-1]))


def angles_at(angles: tuple[Tensor, Tensor], columns: Int[Tensor, "B K"]) -> tuple[Tensor, Tensor]:
    """The angles of some columns of each row."""
    cos, sin = (at_columns(part[:, 0].expand(len(columns), -1, -1), columns)[:, None] for part in angles)
    return cos, sin


def without_cudnn() -> None:
    """From now on GPUs attend by flash or memory-efficient kernels, not by cuDNN's.

    Those, PyTorch's first choice on Hopper since 2.11, return NaN gradients where a mask is given and the width is 64
    more than a multiple of 128 (pytorch#196678), and where there is one query (NVIDIA/cudnn-frontend#1072).
    """
    torch.backends.cuda.enable_cudnn_sdp(False)


def attention_mask_of(
    visible: Visible,
    is_real: Bool[Tensor, "B S"] | None,
    columns: Int[Tensor, "B Q"] | None,
    everywhere: Int[Tensor, "S"],
    *,
    arm: str,
    dtype: torch.dtype,
):
    """What hides, from the queries at some columns (None: everywhere), padding and what these columns do not see.

    None where there is nothing to hide. Layers share it, so nobody may write into it. A column that sees nothing (of
    padding) sees itself. Raises ValueError where flash_attention_2 is asked for more than it can.
    """
    if isinstance(visible, All) and is_real is None:
        return None
    if arm == "flash_attention_2":
        return _mask_of_flash(visible, is_real, columns)
    queries = everywhere[None] if columns is None else columns
    if arm == "flex_attention":
        return _block_mask(visible, is_real, queries, width=len(everywhere))
    if isinstance(visible, All):
        assert is_real is not None
        return _additive(is_real[:, None], dtype)
    seen = visible.sees(queries[:, :, None], everywhere, width=len(everywhere))
    if is_real is not None:
        seen = (seen & is_real[:, None]) | (queries[:, :, None] == everywhere)
    return _additive(seen, dtype)


def _additive(seen: Bool[Tensor, "B _ S"], dtype: torch.dtype) -> Float[Tensor, "B 1 _ S"]:
    hidden = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
    return hidden.masked_fill_(~seen, float("-inf"))[:, None]


def refuse_flash_for(visible: Visible) -> None:
    """Raises ValueError unless every column sees every column."""
    if not isinstance(visible, All):
        raise ValueError(
            f"attention='flash_attention_2' lets every column see all columns, not {visible}; "
            "use sdpa, eager or flex_attention"
        )


def _mask_of_flash(visible: Visible, is_real: Bool[Tensor, "B S"] | None, columns: Int[Tensor, "B Q"] | None):
    """It takes the queries for the last columns: where padding stands there, it would leave out some."""
    refuse_flash_for(visible)
    if is_real is None:
        return None
    if columns is not None and not is_real[:, -columns.shape[1] :].all():
        raise ValueError(
            "attention='flash_attention_2' needs all padding on the left of as many columns as are asked for"
        )
    return is_real


def _block_mask(
    visible: Visible, is_real: Bool[Tensor, "B S"] | None, queries: Int[Tensor, "_ Q"], width: int
):
    from torch.nn.attention.flex_attention import create_block_mask  # noqa: PLC0415

    @no_type_check  # torch counts the arguments of this very function
    def sees(row, head, query, key):
        if isinstance(visible, All):
            return is_real[row, key]
        column = queries[row % len(queries), query]
        seen = visible.sees(column, key, width)
        return seen if is_real is None else (seen & is_real[row, key]) | (column == key)

    rows, count = len(queries if is_real is None else is_real), queries.shape[1]
    return create_block_mask(sees, B=rows, H=None, Q_LEN=count, KV_LEN=width, device=str(queries.device))
