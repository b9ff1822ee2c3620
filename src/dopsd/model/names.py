"""The one map between the official LLaDA tensor names, on disk, and the Llama names, in memory."""

import re

from transformers import AutoConfig
from transformers.conversion_mapping import register_checkpoint_conversion_mapping
from transformers.core_model_loading import WeightConverter, WeightRenaming

from dopsd.model.configuration import LLaDAConfig

OFFICIAL_OUTSIDE_LAYERS = {
    "model.transformer.wte": "model.embed_tokens",
    "model.transformer.ln_f": "model.norm",
    "model.transformer.ff_out": "lm_head",
}
OFFICIAL_IN_LAYER = {
    "attn_norm": "input_layernorm",
    "q_proj": "self_attn.q_proj",
    "k_proj": "self_attn.k_proj",
    "v_proj": "self_attn.v_proj",
    "attn_out": "self_attn.o_proj",
    "ff_norm": "post_attention_layernorm",
    "ff_proj": "mlp.gate_proj",
    "up_proj": "mlp.up_proj",
    "ff_out": "mlp.down_proj",
}
_LAYER_IN_OFFICIAL = {ours: official for official, ours in OFFICIAL_IN_LAYER.items()}
_OUTSIDE_IN_OFFICIAL = {ours: official for official, ours in OFFICIAL_OUTSIDE_LAYERS.items()}
_OFFICIAL = re.compile(r"model\.transformer\.(?:blocks\.(?P<layer>\d+)\.)?(?P<part>\w+)")
_OURS = re.compile(r"model\.layers\.(?P<layer>\d+)\.(?P<part>[\w.]+)\.(?P<leaf>\w+)")


def in_memory_name(official: str) -> str:
    """The name with its official module name replaced by ours; names without one come back unchanged."""
    found = _OFFICIAL.search(official)
    if found is None:
        return official
    if found["layer"] is None:
        ours = OFFICIAL_OUTSIDE_LAYERS.get(found[0])
    else:
        part = OFFICIAL_IN_LAYER.get(found["part"])
        ours = None if part is None else f"model.layers.{found['layer']}.{part}"
    return official if ours is None else official.replace(found[0], ours, 1)


def official_name(ours: str) -> str:
    """The official name of one of this architecture's own parameters; raises KeyError for any other."""
    found = _OURS.fullmatch(ours)
    if found is None:
        module, leaf = ours.rsplit(".", 1)
        return f"{_OUTSIDE_IN_OFFICIAL[module]}.{leaf}"
    return f"model.transformer.blocks.{found['layer']}.{_LAYER_IN_OFFICIAL[found['part']]}.{found['leaf']}"


def register() -> None:
    """Teach transformers the model type "llada" and its names on disk, for reading and for writing."""
    outside: list[WeightConverter | WeightRenaming] = [
        WeightRenaming(official, ours) for official, ours in OFFICIAL_OUTSIDE_LAYERS.items()
    ]
    inside = [
        WeightRenaming(rf"model.transformer.blocks.(\d+).{official}", rf"model.layers.\1.{ours}")
        for official, ours in OFFICIAL_IN_LAYER.items()
    ]
    register_checkpoint_conversion_mapping(LLaDAConfig.model_type, outside + inside, overwrite=True)
    AutoConfig.register(LLaDAConfig.model_type, LLaDAConfig, exist_ok=True)
