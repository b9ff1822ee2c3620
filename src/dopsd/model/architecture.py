"""The network: Llama's parts with any structure of attention, and a head left to whoever wants logits."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaRMSNorm

from dopsd.diffusion.hidden import Hidden
from dopsd.kv_cache import KVCache
from dopsd.model.attention import (
    BidirectionalAttention,
    angles_at,
    at_columns,
    attention_mask_of,
    rotary_angles,
)
from dopsd.model.configuration import LLaDAConfig, Reading
from dopsd.model.visible import Visible, one_before

GRAPHS_OF_ALL_MODELS = 1024
"""In one process: a model has about a dozen, and a sweep many models. Beyond the limit torch raises."""


class MaskedDiffusionLM(PreTrainedModel):
    """A masked diffusion language model: hidden states, and so logits, at any positions of a partly masked canvas."""

    config_class = LLaDAConfig
    config: LLaDAConfig
    base_model_prefix = "model"
    main_input_name = "sequence"
    supports_gradient_checkpointing = True
    _no_split_modules = ["DecoderLayer"]  # noqa: RUF012
    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}  # noqa: RUF012
    source: Path | None = None
    """The directory that it was loaded from, with the tokenizer files that belong to it."""
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
        sequence: Int[Tensor, "B S"],
        attention_mask: Bool[Tensor, "B S"] | Int[Tensor, "B S"] | None = None,
        at: Int[Tensor, "B K"] | None = None,
        *,
        cache: KVCache | None = None,
        active: Int[Tensor, "B Q"] | None = None,
        visible: Visible | None = None,
        positions: Int[Tensor, "_ S"] | None = None,
        reading: Reading | None = None,
    ) -> Hidden:
        """Hidden states (B, S, D) with the vocabulary head, or (B, K, D) for the tokens at columns `at`.

        `attention_mask` is 1 on real tokens (None: all are; with a mask some attention kernels cannot be used). A
        `cache` is filled, or, where `active` is given (ascending columns, `at` among them), only these are computed and
        renewed, and it has the keys and values of the others. `visible` and `reading` are the network's own unless
        given, and positions count real tokens. Adapters, whose weights are float32, compute in the dtype of the weights
        that they adapt.
        """
        visible = visible or self.visible
        if (reading or self.reading) == "next":
            at, active = one_before(sequence, at, active, visible)
        is_low = self.dtype in (torch.bfloat16, torch.float16)
        with torch.autocast(self.device.type, self.dtype if is_low else None, enabled=is_low):
            states = self.model(sequence, attention_mask, at, cache, active, visible, positions)
        return Hidden(states=states, head=self.lm_head)

    @property
    def visible(self) -> Visible:
        """Who sees whom where a forward does not say it."""
        return self.config.structure

    @property
    def reading(self) -> Reading:
        """What the output at a column means: that column's token (own), or that of the column behind it (next)."""
        return self.config.reading

    @property
    def mask_id(self) -> int:
        """The id of the [MASK] token."""
        assert self.config.mask_token_id is not None
        return self.config.mask_token_id

    @property
    def eos_id(self) -> int:
        """The id of the end of text, which also pads."""
        return self.config.eos_token_id

    @property
    def eot_id(self) -> int:
        """The id of the end of a turn."""
        assert self.config.eot_token_id is not None
        return self.config.eot_token_id

    @property
    def end_ids(self) -> tuple[int, ...]:
        """The ids after which a response has ended."""
        return (self.eos_id, self.eot_id)

    def compile_layers(self) -> None:
        """All layers share the graphs of one compiled function, whatever the rows and columns of their calls.

        A graph is made where a layer is first called in a new way: with gradients or without, adapters on or off, at
        all columns or some, with padding or a cache or without, one row or several. What cannot be one graph raises.
        """
        torch._dynamo.config.recompile_limit = GRAPHS_OF_ALL_MODELS
        torch._dynamo.config.accumulated_recompile_limit = GRAPHS_OF_ALL_MODELS
        compiled = torch.compile(compute_layer, dynamic=True, fullgraph=True)
        for layer in self.model.layers:
            layer.compute = compiled  # pyright: ignore[reportArgumentType]

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

    def forward(
        self,
        sequence: Int[Tensor, "B S"],
        attention_mask: Tensor | None,
        at: Int[Tensor, "B K"] | None,
        cache: KVCache | None,
        active: Int[Tensor, "B Q"] | None,
        visible: Visible,
        positions: Int[Tensor, "_ S"] | None,
    ) -> Float[Tensor, "B _ D"]:
        """Positions count real tokens only, so a row's result does not depend on where its padding stands.

        The last layer needs keys and values of every column, but queries only where hidden states are wanted.
        """
        is_real = None if attention_mask is None else attention_mask.bool()
        if positions is None:
            positions = visible.positions(_positions(sequence, is_real))
        everywhere = torch.arange(sequence.shape[1], device=sequence.device)
        wanted = at
        if active is not None:
            sequence, positions = (
                sequence.gather(1, active),
                positions.expand(len(active), -1).gather(1, active),
            )
            wanted = None if at is None else torch.searchsorted(active.contiguous(), at.contiguous())
        hidden = self.embed_tokens(sequence)
        arm = self.config._attn_implementation or "eager"
        shared = {"angles": rotary_angles(positions, self.config), "active": active}
        caches = [None] * len(self.layers) if cache is None else cache.of_layers(len(self.layers))
        mask_for = partial(attention_mask_of, visible, is_real, arm=arm, dtype=hidden.dtype)
        mask = mask_for(active, everywhere)
        *others, last = zip(self.layers, caches, strict=True)
        for layer, layer_cache in others:
            hidden = layer(hidden, mask=mask, wanted=None, cache=layer_cache, **shared)
        if wanted is not None:
            mask = mask_for(at, everywhere)
        last_layer, last_cache = last
        hidden = last_layer(hidden, mask=mask, wanted=wanted, cache=last_cache, **shared)
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
        self.compute: Callable[..., Tensor] = compute_layer  # or the same, compiled

    def forward(self, hidden, **given):  # pyright: ignore
        """See `compute_layer`."""
        return self.compute(self, hidden, **given)


def compute_layer(layer: DecoderLayer, hidden, *, mask, angles, wanted, cache, active):
    """The layer's hidden states, or those at the `wanted` columns of what it is given."""
    normed = layer.input_layernorm(hidden)
    queries, query_angles = normed, angles
    if wanted is not None:
        hidden, queries = at_columns(hidden, wanted), at_columns(normed, wanted)
        query_angles = angles_at(angles, wanted)
    hidden = hidden + layer.self_attn(
        normed,
        angles=angles,
        queries=queries,
        query_angles=query_angles,
        mask=mask,
        cache=cache,
        active=active,
    )
    return hidden + layer.mlp(layer.post_attention_layernorm(hidden))


def _positions(sequence: Int[Tensor, "B S"], is_real: Bool[Tensor, "B S"] | None) -> Int[Tensor, "_ S"]:
    """Each column's place among the real tokens of its row."""
    if is_real is None:
        return torch.arange(sequence.shape[1], device=sequence.device)[None]
    return (is_real.cumsum(dim=1) - 1).clamp(min=0)


def _rows(config: LLaDAConfig) -> int:
    assert config.embedding_size is not None
    return config.embedding_size


def _truncated_normal(weight: Tensor, *, fan_in: int) -> None:
    std = 1.0 / math.sqrt(fan_in)
    init.trunc_normal_(weight, mean=0.0, std=std, a=-3 * std, b=3 * std)
