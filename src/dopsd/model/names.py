"""The names of tensors, on disk and in memory: each family's own, and Llama's."""

import re

from transformers import AutoConfig
from transformers.conversion_mapping import register_checkpoint_conversion_mapping
from transformers.core_model_loading import WeightConverter, WeightRenaming

from dopsd.model.configuration import LLaDAConfig
from dopsd.model.family import LLADA

_OFFICIAL = re.compile(r"model\.transformer\.(?:blocks\.(?P<layer>\d+)\.)?(?P<part>\w+)")


def in_memory_name(official: str) -> str:
    """The name with its official module name (LLaDA's) replaced by ours; names without one come back unchanged."""
    found = _OFFICIAL.search(official)
    if found is None:
        return official
    if found["layer"] is None:
        ours = LLADA.outside_layers.get(found[0])
    else:
        part = LLADA.in_layer.get(found["part"])
        ours = None if part is None else f"model.layers.{found['layer']}.{part}"
    return official if ours is None else official.replace(found[0], ours, 1)


def register() -> None:
    """Teach transformers the model type "llada" and its names on disk, for reading and for writing."""
    outside: list[WeightConverter | WeightRenaming] = [
        WeightRenaming(official, ours) for official, ours in LLADA.outside_layers.items()
    ]
    inside = [
        WeightRenaming(rf"{LLADA.layers}.(\d+).{official}", rf"model.layers.\1.{ours}")
        for official, ours in LLADA.in_layer.items()
    ]
    register_checkpoint_conversion_mapping(LLaDAConfig.model_type, outside + inside, overwrite=True)
    AutoConfig.register(LLaDAConfig.model_type, LLaDAConfig, exist_ok=True)
