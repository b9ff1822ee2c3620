"""The LLaDA network: Llama's parts without a causal mask, and a head run only where logits are wanted."""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaRMSNorm

from dopsd.model.attention import BidirectionalAttention, padding_mask, rotary_angles
from dopsd.model.configuration import LLaDAConfig


class MaskedDiffusionLM(PreTrainedModel):
    """A masked diffusion language model: logits for any positions of a partly masked canvas."""

    config_class = LLaDAConfig
    config: LLaDAConfig
    base_model_prefix = "model"
    main_input_name = "canvas"
    supports_gradient_checkpointing = True
    _no_split_modules = ["DecoderLayer"]  # noqa: RUF012
    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}  # noqa: RUF012
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(self, config: LLaDAConfig):
        super().__init__(config)
        self.model = Backbone(config)
        self.lm_head = nn.Linear(config.d_model, _rows(config), bias=False)
        self.post_init()
        self.model.damp_residual_outputs()

    def forward(
        self,
        canvas: Int[Tensor, "B S"],
        attention_mask: Bool[Tensor, "B S"] | Int[Tensor, "B S"] | None = None,
        at: Int[Tensor, "B K"] | None = None,
        readout: Callable[[Float[Tensor, "B _ D"], nn.Module], Any] | None = None,
    ) -> Any:
        """Logits (B, S, V), or (B, K, V) at the columns `at` of each row; `attention_mask` is 1 on real tokens.

        With `readout`, what it makes of the hidden states there and the vocabulary head: for vocabularies so
        large that the logits must not exist all at once.
        """
        hidden = self.model(canvas, attention_mask)
        if at is not None:
            hidden = hidden.gather(1, at[:, :, None].expand(-1, -1, hidden.shape[-1]))
        return self.lm_head(hidden) if readout is None else readout(hidden, self.lm_head)

    @property
    def mask_id(self) -> int:
        """The id of the [MASK] token."""
        return self.config.mask_token_id

    @property
    def eos_id(self) -> int:
        """The id of <|endoftext|>, which also pads."""
        return self.config.eos_token_id

    @property
    def eot_id(self) -> int:
        """The id of <|eot_id|>, the end of a turn."""
        assert self.config.eot_token_id is not None
        return self.config.eot_token_id

    @property
    def end_ids(self) -> tuple[int, ...]:
        """The ids after which a response has ended."""
        return (self.eos_id, self.eot_id)

    def compile_layers(self) -> None:
        """Each layer becomes one compiled graph, made at its first call (with the adapters it has then)."""
        for layer in self.model.layers:
            layer.compile()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """LLaDA's "mitchell" start: normal with 1/sqrt(fan in), cut at three standard deviations."""
        if isinstance(module, nn.Embedding):
            _truncated_normal(module.weight, fan_in=module.embedding_dim)
        elif isinstance(module, nn.Linear):
            _truncated_normal(module.weight, fan_in=module.in_features)
        elif isinstance(module, LlamaRMSNorm):
            init.ones_(module.weight)


class Backbone(nn.Module):
    """Everything below the vocabulary head: token ids in, normalised hidden states out."""

    def __init__(self, config: LLaDAConfig):
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(_rows(config), config.d_model)
        self.layers = nn.ModuleList(DecoderLayer(config, index) for index in range(config.n_layers))
        self.norm = LlamaRMSNorm(config.d_model, eps=config.rms_norm_eps)

    def forward(self, canvas: Int[Tensor, "B S"], attention_mask: Tensor | None) -> Float[Tensor, "B S D"]:
        """Positions count real tokens only, so a row's result does not depend on where its padding stands."""
        hidden = self.embed_tokens(canvas)
        is_real = _real_tokens(attention_mask)
        if is_real is None:
            positions = torch.arange(canvas.shape[1], device=canvas.device)[None]
        else:
            positions = (is_real.cumsum(dim=1) - 1).clamp(min=0)
        angles = rotary_angles(positions, self.config)
        mask = padding_mask(is_real, self.config._attn_implementation or "eager", hidden.dtype)
        for layer in self.layers:
            hidden = layer(hidden, attention_mask=mask, position_embeddings=angles)
        return self.norm(hidden)

    @torch.no_grad()
    def damp_residual_outputs(self) -> None:
        """The rest of the "mitchell" start: what writes into the residual stream is damped with depth."""
        for index, layer in enumerate(self.layers):
            assert isinstance(layer, DecoderLayer)
            for linear in (layer.self_attn.o_proj, layer.mlp.down_proj):
                linear.weight.mul_(1.0 / math.sqrt(2 * (index + 1)))


class DecoderLayer(LlamaDecoderLayer):
    """One Llama layer around bidirectional attention."""

    def __init__(self, config: LLaDAConfig, layer_idx: int):
        super().__init__(config, layer_idx)  # pyright: ignore[reportArgumentType]
        self.self_attn = BidirectionalAttention(config, layer_idx)


def _real_tokens(attention_mask: Tensor | None) -> Bool[Tensor, "B S"] | None:
    """The mask as booleans; None when nothing is padding, where that can be known without a device sync."""
    if attention_mask is None:
        return None
    is_real = attention_mask.bool()
    return None if is_real.device.type == "cpu" and bool(is_real.all()) else is_real


def _rows(config: LLaDAConfig) -> int:
    assert config.embedding_size is not None
    return config.embedding_size


def _truncated_normal(weight: Tensor, *, fan_in: int) -> None:
    std = 1.0 / math.sqrt(fan_in)
    init.trunc_normal_(weight, mean=0.0, std=std, a=-3 * std, b=3 * std)
