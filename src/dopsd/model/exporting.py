"""Weights as other programs read them: adapters on official module names, and LLaDA's own config.json."""

import json
from pathlib import Path

from peft import PeftModel
from safetensors.torch import save_file

from dopsd.model.adapter import ADAPTER_WEIGHTS, AdapterFiles
from dopsd.model.architecture import MaskedDiffusionLM
from dopsd.model.checkpoint import ADAPTER_CONFIG, read_json
from dopsd.model.config_keys import PUBLISHED
from dopsd.model.names import official_name
from dopsd.model.progress import no_progress_bars
from dopsd.model.saving import as_a_whole, copy_tokenizer

_CODE = "GSAI-ML/LLaDA-8B-Instruct--"
_OFFICIAL_CLASSES = {
    "architectures": ["LLaDAModelLM"],
    "auto_map": {
        "AutoConfig": f"{_CODE}configuration_llada.LLaDAConfig",
        "AutoModel": f"{_CODE}modeling_llada.LLaDAModelLM",
        "AutoModelForCausalLM": f"{_CODE}modeling_llada.LLaDAModelLM",
    },
}


def save_merged(model: MaskedDiffusionLM | PeftModel, directory: Path, *, official: bool) -> None:
    """All weights, an adapter folded in for good, and the tokenizer; with LLaDA's own config.json where `official`."""
    if isinstance(model, PeftModel):
        model = model.merge_and_unload()  # pyright: ignore[reportAssignmentType, reportCallIssue]
    assert isinstance(model, MaskedDiffusionLM)
    with as_a_whole(directory) as written, no_progress_bars():
        model.save_pretrained(str(written))
        copy_tokenizer(model, written)
        if official:
            _write_json(
                written / "config.json",
                {**PUBLISHED, **read_json(written / "config.json"), **_OFFICIAL_CLASSES},
            )


def save_official_adapter(adapter: Path, directory: Path) -> None:
    """An adapter in files once more, on the official module names; raises CheckpointError where it cannot be read."""
    files = AdapterFiles.read(adapter)
    official = {layer: official_name(f"{layer}.weight").removesuffix(".weight") for layer in files.layers}
    tensors = {}
    for name, tensor in files.tensors().items():
        layer, _, side = name.rpartition(".")
        tensors[f"base_model.model.{official[layer]}.{side}.weight"] = tensor
    config = read_json(adapter / ADAPTER_CONFIG)
    config |= {"target_modules": sorted(official.values()), "auto_mapping": None}
    with as_a_whole(directory) as written:
        save_file(tensors, written / ADAPTER_WEIGHTS, metadata={"format": "pt"})
        _write_json(written / ADAPTER_CONFIG, config)


def _write_json(file: Path, fields: dict) -> None:
    file.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n", encoding="utf-8")
