"""Weights as other programs read them: adapters on official module names, and a config.json for official code."""

from pathlib import Path

from peft import PeftModel
from safetensors.torch import save_file

from dopsd.model.adapter import ADAPTER_WEIGHTS, AdapterFiles
from dopsd.model.architecture import MaskedDiffusionLM
from dopsd.model.checkpoint import ADAPTER_CONFIG, find_directory, read_config
from dopsd.model.errors import read_json
from dopsd.model.progress import no_progress_bars
from dopsd.model.saving import as_a_whole, save_whole, write_json


def save_merged(model: MaskedDiffusionLM | PeftModel, directory: Path, *, official: bool) -> None:
    """All weights, an adapter folded in for good, and the tokenizer; where `official`, for official code to read."""
    if isinstance(model, PeftModel):
        model = model.merge_and_unload()  # pyright: ignore[reportAssignmentType, reportCallIssue]
    assert isinstance(model, MaskedDiffusionLM)
    with as_a_whole(directory) as written, no_progress_bars():
        save_whole(model, written)
        if official:
            family, file = model.config.of_family, written / "config.json"
            write_json(file, {**family.official, **read_json(file)})


def save_official_adapter(adapter: Path, directory: Path, *, base: str) -> None:
    """An adapter of the model `base` in files once more, on the official module names; raises CheckpointError."""
    family = read_config(find_directory(base, weights=False)).of_family
    files = AdapterFiles.read(adapter)
    official = {
        layer: family.official_name(f"{layer}.weight").removesuffix(".weight") for layer in files.layers
    }
    tensors = {}
    for name, tensor in files.tensors().items():
        layer, _, side = name.rpartition(".")
        tensors[f"base_model.model.{official[layer]}.{side}.weight"] = tensor
    config = read_json(adapter / ADAPTER_CONFIG)
    config |= {"target_modules": sorted(official.values()), "auto_mapping": None}
    with as_a_whole(directory) as written:
        save_file(tensors, written / ADAPTER_WEIGHTS, metadata={"format": "pt"})
        write_json(written / ADAPTER_CONFIG, config)
