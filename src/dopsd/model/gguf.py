"""Checkpoints in one GGUF file, with config and tokenizer, as transformers reads them (package gguf)."""

from contextlib import redirect_stderr
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, GgufConfig, PreTrainedTokenizerFast
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint


def gguf_file(directory: Path) -> Path | None:
    """The one such file of a directory that has no config.json."""
    files = [] if (directory / "config.json").is_file() else [*directory.glob("*.gguf")]
    return files[0] if len(files) == 1 else None


def config_fields(file: Path) -> dict[str, Any]:
    """What would stand in its config.json."""
    return dict(_described(file)["config"])


def vocabulary(file: Path) -> dict[str, int]:
    """Its tokens' ids."""
    return {token: number for number, token in enumerate(_described(file)["tokenizer"]["tokens"])}


def tokenizer(file: Path) -> PreTrainedTokenizerFast:
    """Its tokenizer, with the chat template."""
    return PreTrainedTokenizerFast.from_pretrained(file.parent, gguf_file=file.name, padding_side="left")


def tensors(file: Path, dtype: torch.dtype) -> dict[str, Tensor]:
    """Its weights, no longer quantized."""
    config = AutoConfig.for_model(**config_fields(file))
    with redirect_stderr(StringIO()):  # its progress bar, which has no switch
        read = AutoModelForCausalLM.from_pretrained(
            file.parent,
            gguf_file=file.name,
            config=config,
            dtype=dtype,
            quantization_config=GgufConfig(dequantize=True),
        )
    return read.state_dict()


@lru_cache(maxsize=1)
def _described(file: Path) -> dict[str, Any]:
    """All but the weights: seconds, for tens of thousands of tokens."""
    return load_gguf_checkpoint(file, return_tensors=False)
