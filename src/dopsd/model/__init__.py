"""The network, its weights and its adapters: the only place that knows transformers and peft."""

from dopsd.model.adapter import AdapterFiles
from dopsd.model.architecture import MaskedDiffusionLM
from dopsd.model.attention import without_cudnn
from dopsd.model.configuration import LLaDAConfig
from dopsd.model.errors import CheckpointError
from dopsd.model.exporting import save_merged, save_official_adapter
from dopsd.model.initial import initial_network
from dopsd.model.loading import load_model
from dopsd.model.lora import ALL_LINEAR, RELEASED_CODE, adapter_disabled, add_lora, dropout_off, not_finite
from dopsd.model.sampling import sampling
from dopsd.model.saving import load_adapter, load_adapter_weights, save_weights
from dopsd.model.sharding import divided, in_step, shard, whole
from dopsd.model.tokenizer import load_tokenizer

__all__ = [
    "ALL_LINEAR",
    "RELEASED_CODE",
    "AdapterFiles",
    "CheckpointError",
    "LLaDAConfig",
    "MaskedDiffusionLM",
    "adapter_disabled",
    "add_lora",
    "divided",
    "dropout_off",
    "in_step",
    "initial_network",
    "load_adapter",
    "load_adapter_weights",
    "load_model",
    "load_tokenizer",
    "not_finite",
    "sampling",
    "save_merged",
    "save_official_adapter",
    "save_weights",
    "shard",
    "whole",
    "without_cudnn",
]
