"""Kinds of checkpoints as data: a file each."""

from dopsd.model.family.dream import DREAM, QWEN2
from dopsd.model.family.family import Family, in_json, token_id
from dopsd.model.family.llada import LLADA
from dopsd.model.family.llama import LLAMA
from dopsd.model.family.qwen3 import A2D_QWEN3, QWEN3

FAMILIES = {family.name: family for family in (LLADA, DREAM, QWEN2, QWEN3, A2D_QWEN3, LLAMA)}
"""By the model_type in config.json."""

__all__ = ["FAMILIES", "LLADA", "Family", "in_json", "token_id"]
