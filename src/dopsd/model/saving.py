"""Write weights so that a reader never meets half a file, and read them back into a model, strictly."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from math import isclose
from pathlib import Path
from uuid import uuid4

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict
from safetensors import SafetensorError
from torch import Tensor

from dopsd import ranks
from dopsd.files import WritingError
from dopsd.model.adapter import AdapterFiles, name_here
from dopsd.model.architecture import MaskedDiffusionLM
from dopsd.model.errors import CheckpointError, read_json
from dopsd.model.family import Family
from dopsd.model.lora import add_lora, linear_layers
from dopsd.model.progress import no_progress_bars
from dopsd.model.sharding import divided, whole
from dopsd.model.tokenizer import read_tokenizer
from dopsd.model.vocabulary import read_vocabulary

TOKENIZER_FILES = ("tokenizer*", "special_tokens_map.json", "chat_template*", "vocab.json", "merges.txt")
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
    with as_a_whole(directory) as written, no_progress_bars():
        if isinstance(model, PeftModel):
            model.save_pretrained(str(written), save_embedding_layers=False, state_dict=trained)
            (written / "README.md").unlink(missing_ok=True)  # peft's model card template
        else:
            save_whole(model, written)


@contextmanager
def as_a_whole(directory: Path) -> Iterator[Path]:
    """A directory beside it to write into; what is there at the end is moved into place, else nothing stays."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    written = directory.parent / f".{directory.name}.{uuid4().hex[:8]}"
    written.mkdir()
    try:
        yield written
        for file in written.iterdir():
            file.chmod(0o644)  # safetensors makes files that nobody else may read
        _move_into_place(written, directory)
    except (OSError, SafetensorError) as error:
        raise WritingError(f"{directory}: cannot be written ({error})") from error
    finally:
        shutil.rmtree(written, ignore_errors=True)


def save_whole(model: MaskedDiffusionLM, directory: Path) -> None:
    """All weights and the config in the layout of the family, and the tokenizer."""
    family = model.config.of_family
    model.save_pretrained(str(directory), save_original_format=family.is_renamed)
    write_json(directory / "config.json", family.published(read_json(directory / "config.json")))
    if model.source is None:
        return
    if _lacks_mask(model.source, family):
        read_tokenizer(model.source, family).save_pretrained(str(directory))
        return
    for file in (file for pattern in TOKENIZER_FILES for file in model.source.glob(pattern)):
        shutil.copyfile(file, directory / file.name)


def _lacks_mask(source: Path, family: Family) -> bool:
    """Whether the tokenizer there, if there is one, has no token for [MASK]."""
    try:
        return not family.ids_in_config and family.mask not in read_vocabulary(source)
    except CheckpointError:
        return False


def write_json(file: Path, fields: dict) -> None:
    """An object as a file that people can read."""
    file.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load_adapter(model: MaskedDiffusionLM, directory: str | Path) -> PeftModel:
    """Add a stored adapter, wherever it comes from; raises CheckpointError unless every tensor finds its place."""
    files, linear = AdapterFiles.read(directory), linear_layers(model)
    files.check(linear)
    tensors = files.tensors()
    adapted = add_lora(model, r=files.r, alpha=files.alpha, dropout=0.0, targets=files.targets(linear))
    _copy_strictly(adapted, tensors, directory)
    return adapted.eval()


def load_adapter_weights(model: PeftModel, directory: str | Path) -> None:
    """Overwrite the adapter's tensors; raises CheckpointError unless rank, scale, layers and shapes agree."""
    files, present = AdapterFiles.read(directory), model.peft_config["default"]
    assert isinstance(present, LoraConfig)
    if files.r != present.r or not isclose(files.alpha, present.lora_alpha):
        raise CheckpointError(
            f"{directory}: r={files.r}, alpha={files.alpha:g}, "
            f"but the model's adapter has r={present.r}, alpha={present.lora_alpha:g}"
        )
    _copy_strictly(model, files.tensors(), directory)


@torch.no_grad()
def _copy_strictly(model: PeftModel, tensors: dict[str, Tensor], directory: str | Path) -> None:
    stored = get_peft_model_state_dict(model, save_embedding_layers=False)
    places = {name_here(name): place for name, place in stored.items()}
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
