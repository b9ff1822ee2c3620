"""The ways in which a model can be loaded, and what each of them needs."""

import importlib.util

import torch

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
ATTENTION_ARMS = ("sdpa", "eager", "flash_attention_2", "flex_attention")
INITS = ("pretrained", "random")
QUANTIZATIONS = ("nf4",)


def check_options(
    *,
    dtype: str,
    attention: str,
    init: str,
    quantization: str | None,
    compile: bool,
    device: str | torch.device | None = None,
) -> None:
    """Raises ValueError, in one line, for what does not exist, needs what is not here or does not fit the rest.

    Without a `device` the model may go to any that this machine has.
    """
    _require("dtype", dtype, (*DTYPES,))
    _require("attention", attention, ATTENTION_ARMS)
    _require("init", init, INITS)
    if attention == "flash_attention_2":
        _require_package("attention", attention, "flash_attn", extra="flash-attn")
        if dtype == "float32":
            raise ValueError(f"{attention=} needs dtype=bfloat16 or float16, not float32")
        if compile:
            raise ValueError(f"{attention=} cannot be compiled; use compile=false, sdpa or flex_attention")
    if attention in ("flash_attention_2", "flex_attention") and not _on_gpu(device):
        raise ValueError(f"{attention=} needs a CUDA device; sdpa and eager run everywhere")
    if quantization is not None:
        _require("quantization", quantization, QUANTIZATIONS)
        if init != "pretrained":
            raise ValueError(f"{quantization=} needs init=pretrained, not {init}")
        for package in ("bitsandbytes", "accelerate"):
            _require_package("quantization", quantization, package, extra="quantization")


def _require(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}={value!r} must be one of {', '.join(allowed)}")


def _require_package(name: str, value: str, package: str, *, extra: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise ValueError(f'{name}={value!r} needs the package {package}: pip install "dopsd[{extra}]"')


def _on_gpu(device: str | torch.device | None) -> bool:
    return torch.cuda.is_available() and (device is None or torch.device(device).type == "cuda")
