"""Where a checkpoint lies and whether it is whole: whatever is wrong with one is one line, early."""

import json
import logging
import re
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from dopsd.model.architecture import MaskedDiffusionLM
from dopsd.model.config_keys import unknown
from dopsd.model.configuration import LLaDAConfig
from dopsd.model.lora import linear_layers
from dopsd.model.names import official_name

log = logging.getLogger(__name__)

TINY = "tiny"
TINY_DIRECTORY = Path(__file__).parent / "tiny"
WEIGHTS = "model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
WEIGHTS_INDEX = "model.safetensors.index.json"
ADVICE = (
    "download config.json, the tokenizer files and *.safetensors into one directory and give its path, "
    "or use `tiny`, which needs nothing"
)
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


class CheckpointError(ValueError):
    """A checkpoint that is not there, not whole or not of this architecture; the message is one line."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))


def find_directory(path: str | Path, *, weights: bool = True) -> Path:
    """The local directory for a directory, a hub id or `tiny`; raises CheckpointError where there is none."""
    if str(path) == TINY:
        return TINY_DIRECTORY
    directory = Path(path).expanduser()
    if directory.is_dir():
        return directory
    if not _HUB_ID.fullmatch(str(path)):
        raise CheckpointError(f"no such model directory: {str(path)!r}; {ADVICE}")
    return _download(str(path), weights=weights)


def read_config(directory: Path) -> LLaDAConfig:
    """The directory's config.json; raises CheckpointError if it is absent, unreadable or not a LLaDA."""
    fields = read_json(directory / "config.json")
    if fields.get("model_type") != LLaDAConfig.model_type:
        raise CheckpointError(
            f"{directory / 'config.json'}: model_type={fields.get('model_type')!r}, expected 'llada'"
        )
    try:
        return LLaDAConfig.from_dict(fields)
    except (TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{directory / 'config.json'}: {error}") from error


def name_unknown_keys(directory: Path) -> None:
    """Warns of keys in config.json of which nobody knows what they would change."""
    read = {*vars(LLaDAConfig)["__dataclass_fields__"], *LLaDAConfig.attribute_map}
    if keys := unknown(read_json(directory / "config.json"), read):
        log.warning("%s: not known and not read: %s", directory / "config.json", ", ".join(keys))


def check_weights(directory: Path, config: LLaDAConfig) -> None:
    """Compare stored names and shapes with the architecture's; raises CheckpointError at a difference."""
    if (directory / ADAPTER_CONFIG).is_file():
        raise CheckpointError(f"{directory} holds an adapter; load its base model first, then the adapter")
    expected, found = _expected_shapes(config), _stored_shapes(directory)
    if config.weight_tying:
        found.pop(official_name("lm_head.weight"), None)
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

    wanted = ["*.json", "*.jinja", *(["*.safetensors"] if weights else [])]
    try:
        return Path(snapshot_download(hub_id, allow_patterns=wanted))
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise CheckpointError(
            f"{hub_id!r} is no directory here, and the hub did not give it ({reason}); {ADVICE}"
        ) from error


def read_json(file: Path) -> dict:
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{file} is missing; {ADVICE}") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file} cannot be read: {error}") from error
    if not isinstance(fields, dict):
        raise CheckpointError(f"{file} is not a JSON object")
    return fields


def linear_shapes(config: LLaDAConfig) -> dict[str, tuple[int, int]]:
    """The linear layers of a network that is not loaded, with their outputs and inputs."""
    return linear_layers(_without_weights(config))


def local_linear_shapes(path: str) -> dict[str, tuple[int, int]]:
    """The same for a path; nothing where that is no directory here (a hub id is only looked up when it is loaded)."""
    is_local = path == TINY or Path(path).expanduser().is_dir()
    return linear_shapes(read_config(find_directory(path))) if is_local else {}


def _without_weights(config: LLaDAConfig) -> MaskedDiffusionLM:
    with torch.device("meta"):
        return MaskedDiffusionLM(config)


def _expected_shapes(config: LLaDAConfig) -> dict[str, tuple[int, ...]]:
    model = _without_weights(config)
    return {official_name(name): tuple(tensor.shape) for name, tensor in model.named_parameters()}


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
