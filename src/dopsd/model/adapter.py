"""A LoRA adapter in files, whoever wrote them: its settings, and which tensor belongs to which of our layers."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from dopsd.model.checkpoint import ADAPTER_CONFIG
from dopsd.model.errors import CheckpointError, read_json
from dopsd.model.family import in_json
from dopsd.model.names import in_memory_name

ADAPTER_WEIGHTS = "adapter_model.safetensors"
_KEY = re.compile(r"(?P<layer>.+)\.lora_(?P<side>[AB])(?:\.\w+)?\.weight")
_BEFORE_LAYERS = re.compile(r"(?:base_model\.)?(?:model\.)*(?=layers\.|transformer\.|lm_head)")
_EMPTY = (None, False, [], {})
_HARMLESS: Mapping[str, tuple] = {
    "peft_type": ("LORA",),
    "bias": ("none",),
    "init_lora_weights": (True, False, "gaussian", "eva", "orthogonal", None),
}
"""Values with which a key changes no result; others, as `pissa`, change the base."""
_WITHOUT_EFFECT = (
    "alora_invocation_tokens auto_mapping base_model_name_or_path eva_config exclude_modules inference_mode "
    "layers_pattern layers_to_transform lora_alpha lora_dropout megatron_core peft_version qalora_group_size r "
    "revision runtime_config target_modules task_type use_rslora"
)


@dataclass(frozen=True, kw_only=True)
class AdapterFiles:
    """What is in an adapter's directory; `keys` are the tensors' names there, by the names that they have here."""

    directory: Path
    r: int
    alpha: int | float
    keys: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]

    @classmethod
    def read(cls, directory: str | Path) -> "AdapterFiles":
        """The settings and shapes, without the weights; raises CheckpointError for what cannot be used."""
        directory = Path(directory).expanduser()
        for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
            if not (directory / name).is_file():
                raise CheckpointError(f"no {name} in {directory}: not an adapter that can be read")
        fields = read_json(directory / ADAPTER_CONFIG)
        _refuse_other_adapters(fields, directory)
        stored = _stored_shapes(directory)
        keys = _named_as_here(stored, directory)
        shapes = {name: stored[key] for name, key in keys.items()}
        return cls(directory=directory, r=fields["r"], alpha=_alpha(fields), keys=keys, shapes=shapes)

    @property
    def layers(self) -> list[str]:
        """The linear layers that are adapted."""
        return sorted({name.partition(".lora_")[0] for name in self.keys})

    def targets(self, linear: Collection[str]) -> list[str]:
        """The adapted layers in PEFT's shortest words, given all `linear` layers of the network."""
        found = []
        for leaf in sorted({layer.rpartition(".")[2] for layer in self.layers}):
            own, of_all = (
                [layer for layer in layers if layer.rpartition(".")[2] == leaf]
                for layers in (self.layers, linear)
            )
            found += [leaf] if set(of_all) == set(own) else own
        return found

    def check(self, linear: Mapping[str, tuple[int, ...]]) -> None:
        """Raises CheckpointError unless each tensor belongs to a `linear` layer and fits its (outputs, inputs)."""
        wanted = {}
        for layer, (outputs, inputs) in linear.items():
            wanted |= {f"{layer}.lora_A": (self.r, inputs), f"{layer}.lora_B": (outputs, self.r)}
        strange = [key for name, key in self.keys.items() if name not in wanted]
        if strange:
            raise CheckpointError(
                f"{self.directory}: {len(strange)} of {len(self.keys)} tensors belong to no layer here, as "
                f"{strange[0]}; the model has {len(linear)} linear layers, as {next(iter(linear))}"
            )
        both = {f"{layer}.lora_{side}" for layer in self.layers for side in "AB"}
        if missing := sorted(both - self.keys.keys()):
            raise CheckpointError(f"{self.directory}: {len(missing)} tensors are missing, as {missing[0]}")
        for name, shape in self.shapes.items():
            if shape != wanted[name]:
                raise CheckpointError(
                    f"{self.directory}: {self.keys[name]} is of another shape, {shape}; wanted is {wanted[name]} "
                    f"(r={self.r} in {ADAPTER_CONFIG})"
                )

    def tensors(self) -> dict[str, Tensor]:
        """The weights, by their names here; raises CheckpointError where the file is damaged."""
        try:
            stored = load_file(self.directory / ADAPTER_WEIGHTS)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"cannot read the adapter in {self.directory}: {error}") from error
        return {name: stored[key] for name, key in self.keys.items()}


def _refuse_other_adapters(fields: Mapping, directory: Path) -> None:
    """Every option is known to change nothing, switched off, or refused."""
    for key, value in fields.items():
        allowed = _HARMLESS.get(key, _EMPTY)
        if key not in _WITHOUT_EFFECT.split() and value not in allowed:
            raise CheckpointError(
                f"{directory}: {key}={in_json(value)} is not supported, only {in_json(allowed[0])}"
            )
    r, alpha = fields.get("r"), fields.get("lora_alpha")
    if type(r) is not int or r < 1 or not isinstance(alpha, int | float) or alpha <= 0:
        raise CheckpointError(f"{directory}: r={in_json(r)}, lora_alpha={in_json(alpha)}: must be above 0")


def _alpha(fields: Mapping) -> int | float:
    """The alpha with which the scale is alpha / r (rank-stabilised adapters divide by the root of r)."""
    alpha = fields["lora_alpha"]
    return alpha * fields["r"] ** 0.5 if fields.get("use_rslora") else alpha


def _stored_shapes(directory: Path) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(directory / ADAPTER_WEIGHTS, framework="pt") as opened:
            return {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read the adapter in {directory}: {error}") from error


def _named_as_here(stored: Collection[str], directory: Path) -> dict[str, str]:
    keys: dict[str, str] = {}
    for key in stored:
        name = name_here(key)
        if name in keys:
            raise CheckpointError(
                f"{directory}: {keys[name]} and {key} are of the same layer: two adapters in one"
            )
        keys[name] = key
    if not keys:
        raise CheckpointError(f"{directory}: there are no tensors in {ADAPTER_WEIGHTS}")
    return keys


def name_here(key: str) -> str:
    """`model.layers.0.self_attn.q_proj.lora_A`, whatever stands before the layers and after the matrix."""
    found = _KEY.fullmatch(key)
    if found is None:
        return key
    layer = _BEFORE_LAYERS.sub("", found["layer"], count=1)
    if layer.startswith(("layers.", "transformer.")):
        layer = in_memory_name(f"model.{layer}")
    return f"{layer}.lora_{found['side']}"
