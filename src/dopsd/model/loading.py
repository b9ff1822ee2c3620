"""Load a LLaDA model: official files in, strictly; or its config alone and weights drawn from a seed."""

import importlib.util
from pathlib import Path

import torch

from dopsd.model import names
from dopsd.model.architecture import MaskedDiffusionLM
from dopsd.model.attention import ATTENTION_ARMS
from dopsd.model.checkpoint import CheckpointError, check_weights, find_directory, read_config
from dopsd.model.configuration import LLaDAConfig
from dopsd.model.seeding import seeded

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
INITS = ("pretrained", "random")
QUANTIZATIONS = (None, "nf4")

names.register()


def load_model(
    path: str | Path,
    *,
    dtype: str = "float32",
    attention: str = "sdpa",
    device: str | torch.device | None = None,
    init: str = "pretrained",
    seed: int = 0,
    quantization: str | None = None,
    activation_checkpointing: bool = False,
    compile: bool = False,
) -> MaskedDiffusionLM:
    """A model in eval mode from a directory, a hub id or `tiny`; raises ValueError in one line.

    `activation_checkpointing` keeps one hidden state a layer in training and computes the rest again in the backward
    pass; `compile` hands each layer to torch.compile. Neither changes a result beyond rounding.
    """
    _require("dtype", dtype, tuple(DTYPES))
    _require("init", init, INITS)
    _require("quantization", quantization, QUANTIZATIONS)
    _require_attention(attention, dtype)
    directory = find_directory(path, weights=init == "pretrained")
    config = read_config(directory)
    if init == "random":
        if quantization is not None:
            raise ValueError(f"quantization={quantization!r} needs init='pretrained', got init='random'")
        model = _random(config, DTYPES[dtype], attention, seed)
    else:
        check_weights(directory, config)
        model = _pretrained(
            directory, config, DTYPES[dtype], attention, _quantizer(quantization, DTYPES[dtype])
        )
    model.eval()
    if activation_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if compile:
        model.compile_layers()
    return model if device is None else model.to(device)  # pyright: ignore[reportArgumentType]


def _random(config: LLaDAConfig, dtype: torch.dtype, attention: str, seed: int) -> MaskedDiffusionLM:
    with seeded(seed):
        return MaskedDiffusionLM._from_config(config, dtype=dtype, attn_implementation=attention)


def _pretrained(directory, config, dtype: torch.dtype, attention: str, quantizer) -> MaskedDiffusionLM:
    try:
        model, report = MaskedDiffusionLM.from_pretrained(  # pyright: ignore[reportGeneralTypeIssues]
            directory,
            config=config,
            dtype=dtype,
            attn_implementation=attention,
            quantization_config=quantizer,
            output_loading_info=True,
            use_safetensors=True,
            local_files_only=True,
        )
    except (OSError, RuntimeError, ValueError, ImportError) as error:
        raise CheckpointError(f"cannot load {directory}: {error}") from error
    wrong = {kind: sorted(map(str, keys))[:3] for kind, keys in report.items() if keys}
    if wrong:
        raise CheckpointError(f"{directory}: weights did not load cleanly: {wrong}")
    return model


def _quantizer(quantization: str | None, dtype: torch.dtype):
    if quantization is None:
        return None
    for package in ("bitsandbytes", "accelerate"):
        if importlib.util.find_spec(package) is None:
            raise ValueError(
                f"quantization={quantization!r} needs the package {package}: pip install {package}"
            )
    from transformers import BitsAndBytesConfig  # noqa: PLC0415

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=quantization,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def _require_attention(attention: str, dtype: str) -> None:
    _require("attention", attention, ATTENTION_ARMS)
    if attention in ("sdpa", "eager"):
        return
    if attention == "flash_attention_2":
        if importlib.util.find_spec("flash_attn") is None:
            raise ValueError(
                "attention='flash_attention_2' needs the package flash-attn; use 'sdpa' without it"
            )
        if dtype == "float32":
            raise ValueError(f"{attention=} needs dtype bfloat16 or float16, got {dtype!r}")
    if not torch.cuda.is_available():
        raise ValueError(
            f"attention={attention!r} needs a CUDA device and none is here; use 'sdpa' or 'eager'"
        )


def _require(name: str, value: object, allowed: tuple) -> None:
    if value not in allowed:
        raise ValueError(f"{name}={value!r} is not one of {', '.join(map(repr, allowed))}")
