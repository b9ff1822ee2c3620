"""Write weights so that a reader never meets half a file, and read them back into a model, strictly."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers.utils import logging as transformers_logging

from dopsd import ranks
from dopsd.files import WritingError
from dopsd.model.architecture import MaskedDiffusionLM
from dopsd.model.checkpoint import ADAPTER_CONFIG, CheckpointError
from dopsd.model.lora import keep_inputs
from dopsd.model.names import in_memory_name
from dopsd.model.seeding import seeded
from dopsd.model.sharding import divided, whole

ADAPTER_WEIGHTS = "adapter_model.safetensors"
_OURS_TO_REPLACE = ("model*.safetensors", "model.safetensors.index.json", "adapter_*", "config.json")


def save_weights(model: MaskedDiffusionLM | PeftModel, directory: str | Path) -> None:
    """Write the adapter (PEFT format) or a plain model (official layout); strangers' files stay.

    The first rank writes; every rank must call it, and returns when the files are there.
    """
    trained = _adapter_tensors(model) if isinstance(model, PeftModel) else {}
    if ranks.is_first():
        _save(model, trained, Path(directory))
    ranks.meet()


def _adapter_tensors(model: PeftModel) -> dict[str, Tensor]:
    return {name: whole(tensor) for name, tensor in model.state_dict().items() if ".lora_" in name}


def _save(model: MaskedDiffusionLM | PeftModel, trained: dict[str, Tensor], directory: Path) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    written = directory.parent / f".{directory.name}.{uuid4().hex[:8]}"
    written.mkdir()
    try:
        with _no_progress_bars():
            if isinstance(model, PeftModel):
                model.save_pretrained(str(written), save_embedding_layers=False, state_dict=trained)
            else:
                model.save_pretrained(str(written))
        (written / "README.md").unlink(missing_ok=True)  # peft's model card template
        _move_into_place(written, directory)
    except (OSError, SafetensorError) as error:
        raise WritingError(f"{directory}: cannot be written ({error})") from error
    finally:
        shutil.rmtree(written, ignore_errors=True)


def load_adapter(model: MaskedDiffusionLM, directory: str | Path, *, trainable: bool = False) -> PeftModel:
    """Add a stored adapter, official names included; raises CheckpointError unless it fits exactly."""
    config, tensors = _read_adapter(Path(directory))
    config.target_modules = sorted({name.split(".lora_")[0].rsplit(".", 1)[-1] for name in tensors})
    config.inference_mode = not trainable
    with seeded(0):  # what is drawn here is overwritten; the process's own numbers must not move
        adapted = _attach(model, config, directory)
    keep_inputs(adapted)
    try:
        _copy_strictly(adapted, tensors, directory)
    except CheckpointError:
        adapted.unload()
        raise
    return adapted


def load_adapter_weights(model: PeftModel, directory: str | Path) -> None:
    """Overwrite the adapter's tensors; raises CheckpointError unless rank, scale and shapes agree."""
    config, tensors = _read_adapter(Path(directory))
    present = model.peft_config["default"]
    assert isinstance(present, LoraConfig)
    if (config.r, config.lora_alpha) != (present.r, present.lora_alpha):
        raise CheckpointError(
            f"{directory}: r={config.r}, alpha={config.lora_alpha}, "
            f"but the model's adapter has r={present.r}, alpha={present.lora_alpha}"
        )
    _copy_strictly(model, tensors, directory)


def _attach(model: MaskedDiffusionLM, config: LoraConfig, directory: str | Path) -> PeftModel:
    try:
        adapted = get_peft_model(model, config)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{directory}: {error}") from error
    assert isinstance(adapted, PeftModel)
    return adapted


def _read_adapter(directory: Path) -> tuple[LoraConfig, dict[str, Tensor]]:
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if not (directory / name).is_file():
            raise CheckpointError(f"no {name} in {directory}: not an adapter that can be read")
    try:
        config = LoraConfig.from_pretrained(str(directory))
        stored = load_file(directory / ADAPTER_WEIGHTS)
    except (OSError, SafetensorError, TypeError, ValueError) as error:
        raise CheckpointError(f"cannot read the adapter in {directory}: {error}") from error
    tensors = {in_memory_name(name): tensor for name, tensor in stored.items()}
    if not isinstance(config, LoraConfig):
        raise CheckpointError(f"{directory}: peft_type={config.peft_type!r} is not supported, only LORA")
    if tensors.keys() != stored.keys() and (config.rank_pattern or config.alpha_pattern):
        raise CheckpointError(
            f"{directory}: rank_pattern and alpha_pattern under official names are not supported"
        )
    return config, tensors


@torch.no_grad()
def _copy_strictly(model: PeftModel, tensors: dict[str, Tensor], directory: str | Path) -> None:
    places = get_peft_model_state_dict(model, save_embedding_layers=False)
    problems = {
        "missing": sorted(places.keys() - tensors.keys()),
        "unexpected": sorted(tensors.keys() - places.keys()),
        "of another shape": sorted(
            name for name in places.keys() & tensors.keys() if places[name].shape != tensors[name].shape
        ),
    }
    for what, names in problems.items():
        if names:
            raise CheckpointError(f"{directory}: {len(names)} adapter tensors {what}: {', '.join(names[:3])}")
    for name, place in places.items():
        place.copy_(divided(tensors[name], place))


def _move_into_place(written: Path, directory: Path) -> None:
    if not directory.exists():
        os.replace(written, directory)
        return
    names = {file.name for file in written.iterdir()}
    for name in names:
        os.replace(written / name, directory / name)
    for pattern in _OURS_TO_REPLACE:
        for file in directory.glob(pattern):
            if file.name not in names:
                file.unlink()


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
