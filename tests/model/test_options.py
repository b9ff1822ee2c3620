"""What a model cannot be loaded as is one line, before anything is read."""

import importlib.util

import pytest
import torch

from dopsd.model import load_model

HERE = {"flash_attn", "bitsandbytes", "accelerate"}
FLASH = {"attention": "flash_attention_2", "dtype": "bfloat16"}


@pytest.mark.parametrize(
    ("options", "packages", "has_gpu", "line"),
    [
        (FLASH, set(), True, "attention='flash_attention_2' needs the package flash_attn: pip install"),
        (FLASH, HERE, False, "attention='flash_attention_2' needs a CUDA device; sdpa and eager run every"),
        (FLASH | {"device": "cpu"}, HERE, True, "attention='flash_attention_2' needs a CUDA device"),
        (FLASH | {"dtype": "float32"}, HERE, True, "attention='flash_attention_2' needs dtype=bfloat16 or"),
        (FLASH | {"compile": True}, HERE, True, "attention='flash_attention_2' cannot be compiled; use "),
        ({"attention": "flex_attention"}, HERE, False, "attention='flex_attention' needs a CUDA device"),
        ({"quantization": "nf4"}, {"accelerate"}, True, "quantization='nf4' needs the package bitsandbytes"),
        ({"quantization": "nf4"}, {"bitsandbytes"}, True, "quantization='nf4' needs the package accelerate"),
        ({"quantization": "nf4", "init": "random"}, HERE, True, "quantization='nf4' needs init=pretrained"),
    ],
)
def test_what_is_missing_is_named(options, packages, has_gpu, line, monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in packages else None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    with pytest.raises(ValueError, match=f"^{line}") as caught:
        load_model("/nowhere", **options)
    assert "\n" not in str(caught.value)
