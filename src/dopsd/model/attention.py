"""Bidirectional attention: float32 rotary positions, and one padding mask a forward for every layer."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaAttention, eager_attention_forward

from dopsd.model.configuration import LLaDAConfig

ATTENTION_ARMS = ("sdpa", "eager", "flash_attention_2", "flex_attention")


class BidirectionalAttention(LlamaAttention):
    """Llama's attention without a causal mask, rotated in float32 (LLaDA's rope_full_precision)."""

    def __init__(self, config: LLaDAConfig, layer_idx: int):
        super().__init__(config, layer_idx)  # pyright: ignore[reportArgumentType]
        self.is_causal = False

    def forward(self, hidden_states, position_embeddings, attention_mask=None, **_):  # pyright: ignore
        """Attend from every position to every real one; the second value is the weights (eager only)."""
        heads = (*hidden_states.shape[:-1], -1, self.head_dim)
        query = rotate(self.q_proj(hidden_states).view(heads).transpose(1, 2), position_embeddings)
        key = rotate(self.k_proj(hidden_states).view(heads).transpose(1, 2), position_embeddings)
        value = self.v_proj(hidden_states).view(heads).transpose(1, 2)
        arm = self.config._attn_implementation or "eager"
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(arm, eager_attention_forward)
        dropout = self.attention_dropout if self.training else 0.0
        mixed, weights = attend(
            self, query, key, value, attention_mask, dropout=dropout, scaling=self.scaling
        )
        return self.o_proj(mixed.reshape(*hidden_states.shape[:-1], -1)), weights


def rotate(x: Float[Tensor, "B H S D"], angles: tuple[Tensor, Tensor]) -> Float[Tensor, "B H S D"]:
    """Rotate each (i, i + D/2) pair by its position's angle in float32 and return the dtype that came in."""
    cos, sin = angles
    full = x.float()
    first, second = full.chunk(2, dim=-1)
    return (full * cos + torch.cat((-second, first), dim=-1) * sin).to(x.dtype)


def rotary_angles(positions: Int[Tensor, "R S"], config: LLaDAConfig) -> tuple[Tensor, Tensor]:
    """The float32 cosines and sines (R, 1, S, D); no buffer, so that no cast of the model coarsens them."""
    head_dim = config.d_model // config.n_heads
    exponent = torch.arange(0, head_dim, 2, device=positions.device, dtype=torch.float32) / head_dim
    angle = positions[:, None, :, None].float() * (1.0 / config.rope_theta**exponent)
    angle = torch.cat((angle, angle), dim=-1)
    return angle.cos(), angle.sin()


def padding_mask(is_real: Bool[Tensor, "B S"] | None, arm: str, dtype: torch.dtype):
    """The mask that hides padding from an attention arm, or None where there is nothing to hide."""
    if is_real is None:
        return None
    if arm == "flash_attention_2":
        return is_real
    if arm == "flex_attention":
        return _block_mask(is_real)
    hidden = torch.zeros(is_real.shape, dtype=dtype, device=is_real.device)
    return hidden.masked_fill_(~is_real, float("-inf"))[:, None, None, :]


def _block_mask(is_real: Bool[Tensor, "B S"]):
    from torch.nn.attention.flex_attention import create_block_mask  # noqa: PLC0415

    def sees(row, head, query, key):
        return is_real[row, key]

    rows, width = is_real.shape
    return create_block_mask(sees, B=rows, H=None, Q_LEN=width, KV_LEN=width, device=str(is_real.device))
