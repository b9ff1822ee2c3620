"""What sets one kind of checkpoint apart from another: names, constants and habits, as data."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

TRANSFORMERS_FIELDS: Mapping[str, str] = {
    "hidden_size": "d_model",
    "intermediate_size": "mlp_hidden_size",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "num_key_value_heads": "n_kv_heads",
    "max_position_embeddings": "max_sequence_length",
    "tie_word_embeddings": "weight_tying",
}
"""What transformers' Llama and its relatives call the fields of the network."""
_OURS_IN_LAYER = re.compile(r"model\.layers\.(?P<layer>\d+)\.(?P<part>[\w.]+)\.(?P<leaf>\w+)")


@dataclass(frozen=True, kw_only=True)
class Family:
    """A kind of checkpoint. Fields and tensors that it does not name have the network's own names."""

    name: str
    """The model_type in config.json."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Fields of config.json that have another name here."""
    fixed: Mapping[str, tuple]
    """Fields that would make another network, with the values of this one; the first is that of published files."""
    without_effect: str
    """Fields whose value says nothing here."""
    compared: str
    """Further fields, which say once more what others say: they are compared with these, and not written."""
    network: Mapping[str, Any]
    """What holds for the network where config.json says nothing else."""
    stretches_positions: bool = False
    """Whether positions may be stretched in the way of Llama 3.1."""
    architecture: str
    """What other programs call the network."""
    official: Mapping[str, Any] = field(default_factory=dict)
    """Fields that its own code must be told, and where that is."""

    layers: str = "model.layers"
    outside_layers: Mapping[str, str] = field(default_factory=dict)
    in_layer: Mapping[str, str] = field(default_factory=dict)
    """Where its layers are, and modules that have another name here."""

    mask: str
    """[MASK]; a tokenizer that has none gets it as one more token."""
    end_of_text: tuple[str, ...]
    end_of_turn: tuple[str, ...]
    """It is the first of these that the tokenizer has."""
    ids_in_config: bool = False
    """Whether config.json says which ids these have; else the tokenizer does."""
    chat_template: str | None = None
    """For a tokenizer that has none."""
    before_template: str = ""
    """Stands before the tokenizer's template."""

    @property
    def is_renamed(self) -> bool:
        """Whether its tensors have names of their own."""
        return bool(self.outside_layers)

    def ours(self, published: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a config.json under the network's names, and what holds where it says nothing.

        Raises ValueError where one is missing without which there is no network.
        """
        for there, here in self.fields.items():
            if there not in published and here not in self.network:
                raise ValueError(f"{there} is missing")
        ignored = self.without_effect.split()
        said = {self.fields.get(key, key): value for key, value in published.items() if key not in ignored}
        if theta := (published.get("rope_parameters") or {}).get("rope_theta"):
            said.setdefault("rope_theta", theta)
        return {"family": self.name, **self.network, **said}

    def published(self, ours: Mapping[str, Any]) -> dict[str, Any]:
        """The network's fields as its config.json has them, without what holds anyway."""
        implied = {"family": self.name, **self.network}
        names = {"rope_llama3": "rope_scaling", **{here: there for there, here in self.fields.items()}}
        said = {key: value for key, value in ours.items() if key not in implied or value != implied[key]}
        written = {
            names.get(key, key): value for key, value in said.items() if key not in self.compared.split()
        }
        return {**written, "architectures": [self.architecture], "model_type": self.name}

    def official_name(self, ours: str) -> str:
        """What it calls one of the network's parameters; raises KeyError for what is none."""
        if not self.is_renamed:
            return ours
        outside, inside = (
            {here: there for there, here in it.items()} for it in (self.outside_layers, self.in_layer)
        )
        found = _OURS_IN_LAYER.fullmatch(ours)
        if found is None:
            module, leaf = ours.rsplit(".", 1)
            return f"{outside[module]}.{leaf}"
        return f"{self.layers}.{found['layer']}.{inside[found['part']]}.{found['leaf']}"

    def refuse_another_network(self, values: Mapping[str, Any]) -> None:
        """Raises ValueError for a value with which a field makes another network."""
        for key in self.fixed.keys() & values.keys():
            if values[key] not in self.fixed[key]:
                allowed = " or ".join(map(in_json, self.fixed[key]))
                raise ValueError(f"{key}={in_json(values[key])} is not supported, only {allowed}")

    def unknown(self, keys: Collection[str], read: Collection[str]) -> list[str]:
        """The fields of which nothing is known, beside those that are read."""
        words = f"{self.without_effect} {self.compared}".split()
        return sorted(set(keys) - {*read, *self.fields, *self.fixed, *self.network, *words})


def token_id(tokens: tuple[str, ...], vocabulary: Mapping[str, int]) -> int | None:
    """The id of the first of these tokens that there is."""
    return next((vocabulary[token] for token in tokens if token in vocabulary), None)


def in_json(value: object) -> str:
    """A value as it stands in the file."""
    return {"None": "null", "True": "true", "False": "false"}.get(str(value), repr(value))
