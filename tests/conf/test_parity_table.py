"""docs/parity.md says what the overlays do, in every cell, and leaves out nothing that they set differently."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from dopsd.entry.composing import CONF

PRESETS = ("paper", "code", "ours")
FILE = Path(__file__).parents[2] / "docs" / "parity.md"
CASES: tuple[tuple[str, ...], ...] = ((), ("task=sudoku",), ("teacher=ar_prefix",))
USUAL = (("tail", "trained"), ("schedule.warmup_steps", 0), ("schedule.final", 0.0))  # set, and no difference
OF_GROUPS = {"clip"}  # arms, whose name stands in the table


def rows() -> dict[tuple[str, tuple[str, ...]], tuple[Any, ...]]:
    """The three values of each key, by key and what is typed beside the preset."""
    found = {}
    for line in FILE.read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 6 and cells[1].startswith("`"):
            key, *typed = re.findall(r"`([^`]+)`", cells[1].partition(":")[0])
            found[key, tuple(typed)] = tuple(yaml.safe_load(cell.strip("`")) for cell in cells[2:5])
    return found


@cache
def composed(preset: str, typed: tuple[str, ...]) -> DictConfig:
    with initialize_config_dir(CONF, version_base="1.3"):
        return compose("train", [f"parity={preset}", *typed], return_hydra_config=True)


def value(key: str, preset: str, typed: tuple[str, ...]) -> Any:
    config = composed(preset, typed)
    if key in OF_GROUPS:
        return config.hydra.runtime.choices[key]
    found = OmegaConf.select(config, key, throw_on_missing=False)
    return OmegaConf.to_container(found) if OmegaConf.is_config(found) else found


def leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for name, child in node.items():
            yield from leaves(child, f"{prefix}.{name}" if prefix else str(name))
    else:
        yield prefix, node


@pytest.mark.parametrize(("key", "typed"), rows())
def test_a_cell_is_what_the_overlay_composes_to(key: str, typed: tuple[str, ...]) -> None:
    assert rows()[key, typed] == tuple(value(key, preset, typed) for preset in PRESETS)


def test_the_table_has_every_switch_and_every_difference() -> None:
    table = rows()
    switches = {f"parity.{name}" for name in composed("ours", ()).parity}
    assert switches <= {key for key, _ in table}
    for typed in CASES:
        configs = [OmegaConf.to_container(composed(preset, typed), resolve=False) for preset in PRESETS]
        each = [dict(leaves({k: v for k, v in it.items() if k != "hydra"})) for it in configs]  # type: ignore[union-attr]
        different = {key for it in each for key in it if len({repr(other.get(key)) for other in each}) > 1}
        known = {key for key, beside in table if beside in ((), typed)}
        assert {
            key for key in different if key not in known and key.partition(".")[0] not in OF_GROUPS
        } == set()


def of_other_methods() -> dict[str, dict[str, Any]]:
    """What the second table says of `parity=code`, by method and key."""
    found: dict[str, dict[str, Any]] = {}
    for line in FILE.read_text().splitlines():
        cells = [cell.strip() for cell in line[1:-1].split("|")]
        if len(cells) == 4 and cells[0].startswith("`"):
            keys, values = (re.findall(r"`([^`]+)`", it) for it in (cells[1].partition(":")[0], cells[2]))
            found.setdefault(cells[0].strip("`"), {}).update(
                zip(keys, map(yaml.safe_load, values), strict=True)
            )
    return found


@pytest.mark.parametrize("method", of_other_methods())
def test_the_table_of_another_method_has_all_that_its_preset_sets(method: str) -> None:
    told, file = of_other_methods()[method], Path(CONF) / "parity" / "method" / f"code_{method}.yaml"
    preset = dict(leaves(OmegaConf.to_container(OmegaConf.load(file))))
    differing = {key: value for key, value in preset.items() if (key, value) not in USUAL}
    assert differing == told


def test_every_preset_of_a_method_is_in_a_table() -> None:
    presets = {file.stem.partition("_")[2] for file in (Path(CONF) / "parity" / "method").glob("code_*.yaml")}
    assert presets == {"dopsd", *of_other_methods()}
