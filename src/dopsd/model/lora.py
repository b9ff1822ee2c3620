"""LoRA adapters: checked targets, a start that follows from a seed, a base that stays reachable."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from pydantic import Field
from torch import nn
from torch.distributed.tensor import DTensor

from dopsd.model.architecture import MaskedDiffusionLM
from dopsd.model.seeding import seeded

# The usual list, written for Llama. Under the official LLaDA names only q, k, v and up exist (o is attn_out,
# gate is ff_proj, down is ff_out), so the released d-OPSD code, which lists all seven, adapts four.
ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
RELEASED_CODE = ("q_proj", "k_proj", "v_proj", "up_proj")


def add_lora(
    model: MaskedDiffusionLM,
    *,
    r: Annotated[int, Field(ge=1)],
    alpha: Annotated[int | float, Field(gt=0)],
    dropout: Annotated[int | float, Field(ge=0, lt=1)],
    targets: Sequence[str] = ALL_LINEAR,
    seed: int = 0,
) -> PeftModel:
    """Freeze the model and add trainable adapters; raises ValueError for a target that matches nothing."""
    _check_targets(model, targets)
    if r < 1 or alpha <= 0 or not 0 <= dropout < 1:
        raise ValueError(f"LoRA needs r >= 1, alpha > 0, 0 <= dropout < 1; got r={r}, {alpha=}, {dropout=}")
    config = LoraConfig(
        r=r,
        lora_alpha=alpha,  # pyright: ignore[reportArgumentType]
        lora_dropout=dropout,
        target_modules=sorted(targets),
        bias="none",
    )
    with seeded(seed):
        adapted = get_peft_model(model, config)  # pyright: ignore[reportArgumentType]
    assert isinstance(adapted, PeftModel)
    keep_inputs(adapted)
    return adapted


def keep_inputs(adapted: PeftModel) -> None:
    """Adapters take the hidden states as they are: no float32 copy for each of them, kept for the backward pass."""
    for layer in adapted_layers(adapted):
        layer.cast_input_dtype_enabled = False


def adapted_layers(model: nn.Module) -> list[Any]:
    """The linear layers that have adapters (peft's LoraLayer), in the order of the network."""
    return [module for module in model.modules() if isinstance(module, LoraLayer)]


def linear_layers(model: nn.Module) -> dict[str, tuple[int, int]]:
    """The layers that an adapter may have, with their outputs and inputs: all linear ones but the vocabulary head."""
    return {
        name: (module.out_features, module.in_features)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and ".layers." in name
    }


@contextmanager
def adapter_disabled(model: PeftModel) -> Iterator[None]:
    """Inside, the model computes exactly what its base does.

    Each layer's own switch, as there is one teacher a micro-batch: peft's `disable_adapter` also inspects every weight,
    which at 32 layers takes 12 times as long.
    """
    switches = [(layer, layer._disable_adapters) for layer in adapted_layers(model)]
    try:
        for layer, _ in switches:
            layer._disable_adapters = True
        yield
    finally:
        for layer, was_off in switches:
            layer._disable_adapters = was_off


def not_finite(model: nn.Module) -> list[str]:
    """The weights that hold NaN or infinity (of a divided network: in this rank's part)."""
    weights = ((name, p.to_local() if isinstance(p, DTensor) else p) for name, p in model.named_parameters())
    return [name for name, p in weights if p.is_floating_point() and not bool(p.detach().isfinite().all())]


@contextmanager
def dropout_off(model: nn.Module) -> Iterator[None]:
    """Inside, every module is in eval mode (so nothing is checkpointed); afterwards each is as it was."""
    training = [module for module in model.modules() if module.training]
    try:
        _set_training(training, False)
        yield
    finally:
        _set_training(training, True)


def _set_training(modules: Sequence[nn.Module], value: bool) -> None:
    for module in modules:
        object.__setattr__(module, "training", value)  # nn.Module's own is slow: it looks for parameters


def _check_targets(model: nn.Module, targets: Sequence[str]) -> None:
    if isinstance(targets, str) or not targets:
        raise ValueError(f"LoRA targets must be a non-empty list of names, got {targets!r}")
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in linear):
            existing = ", ".join(sorted({name.rsplit(".", 1)[-1] for name in linear}))
            raise ValueError(f"LoRA target {target!r} matches no linear layer; there are {existing}")
