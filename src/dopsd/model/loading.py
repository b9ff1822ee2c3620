"""Load a model: a family's files in, strictly; or its config alone and weights drawn from a seed."""

from pathlib import Path

import torch

from dopsd.model import gguf, names
from dopsd.model.architecture import MaskedDiffusionLM
from dopsd.model.attention import refuse_flash_for
from dopsd.model.checkpoint import (
    check_weights,
    find_directory,
    name_unknown_keys,
)
from dopsd.model.configuration import LLaDAConfig
from dopsd.model.errors import CheckpointError
from dopsd.model.mask_row import add_mask_row
from dopsd.model.options import DTYPES, check_options
from dopsd.model.progress import no_progress_bars
from dopsd.model.seeding import seeded
from dopsd.model.structure import configured

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
    visible: str | None = None,
    block_length: int | None = None,
    reading: str | None = None,
) -> MaskedDiffusionLM:
    """A model in eval mode from a directory, a hub id or a name that needs none (tiny); raises ValueError in one line.

    `activation_checkpointing` keeps one hidden state a layer in training and computes the rest again in the backward
    pass; `compile` hands each layer to torch.compile. Neither changes a result beyond rounding, but for the numbers
    that dropout draws in compiled layers. `visible`, `block_length` and `reading`: see `configured`.
    """
    check_options(
        dtype=dtype,
        attention=attention,
        init=init,
        quantization=quantization,
        compile=compile,
        device=device,
    )
    directory = find_directory(path, weights=init == "pretrained")
    config = configured(directory, init=init, visible=visible, block_length=block_length, reading=reading)
    if attention == "flash_attention_2":
        refuse_flash_for(config.structure)
    name_unknown_keys(directory)
    if init == "random":
        model = _random(config, DTYPES[dtype], attention, seed)
    else:
        model = _pretrained(directory, config, DTYPES[dtype], attention, quantization)
    add_mask_row(model)
    model.source = directory
    model.name_or_path = Path(path).name if Path(path).expanduser().is_absolute() else str(path)
    model.eval()
    if activation_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if compile:
        model.compile_layers()
    return model if device is None else model.to(device)  # pyright: ignore[reportArgumentType]


def _random(config: LLaDAConfig, dtype: torch.dtype, attention: str, seed: int) -> MaskedDiffusionLM:
    with seeded(seed):
        return MaskedDiffusionLM._from_config(config, dtype=dtype, attn_implementation=attention)


def _pretrained(
    directory: Path, config: LLaDAConfig, dtype: torch.dtype, attention: str, quantization: str | None
) -> MaskedDiffusionLM:
    check_weights(directory, config)
    quantizer = _quantizer(quantization, dtype)
    read, place = _from_files, directory
    if file := gguf.gguf_file(directory):
        read, place = _from_gguf, file
    return read(place, config, dtype, attention, quantizer)


def _from_files(directory: Path, config, dtype: torch.dtype, attention: str, quantizer) -> MaskedDiffusionLM:
    try:
        with no_progress_bars():
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
    if quantizer is not None:
        _keep_differentiable(model)
    return model


def _from_gguf(file: Path, config, dtype: torch.dtype, attention: str, quantizer) -> MaskedDiffusionLM:
    if quantizer is not None:
        raise CheckpointError(f"{file}: quantization='nf4' must be null for weights from a GGUF file")
    try:
        with torch.device("meta"):
            model = MaskedDiffusionLM._from_config(config, dtype=dtype, attn_implementation=attention)
        with no_progress_bars():
            model.load_state_dict(gguf.tensors(file, dtype), assign=True)
    except (OSError, RuntimeError, ValueError, ImportError) as error:
        raise CheckpointError(f"cannot load {file}: {error}") from error
    model.tie_weights()
    return model


def _quantizer(quantization: str | None, dtype: torch.dtype):
    if quantization is None:
        return None
    from transformers import BitsAndBytesConfig  # noqa: PLC0415

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=quantization,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def _keep_differentiable(model: MaskedDiffusionLM) -> None:
    """On a CPU, bitsandbytes would repack the weights at their first use in eval mode, and then give no gradients."""
    from bitsandbytes.nn import Linear4bit  # noqa: PLC0415  # pyright: ignore[reportMissingImports]

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False  # pyright: ignore[reportArgumentType]
