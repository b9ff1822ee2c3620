"""What a class does by itself is what it does in some command: no test of a class tests a program that nobody runs."""

from collections.abc import Iterator
from inspect import Parameter
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from naming import typed
from omegaconf import OmegaConf

from dopsd.config.allowed import parameters_of
from dopsd.config.build import locate
from dopsd.entry.composing import CONF, arms

OVERLAYS = ("hydra", "parity", "experiment", "debug", "usual")  # which change what a class is usually given
PASSED_ON = {"seed", "block_length"}  # `${seed}` of the run


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict) and str(value.get("_target_")).startswith("dopsd."):
        yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(child)


def given() -> dict[str, list[Any]]:
    """Every value that an arm gives to a parameter which has a default, by class and parameter."""
    found: dict[str, list[Any]] = {}
    groups = [
        folder.name for folder in Path(CONF).iterdir() if folder.is_dir() and folder.name not in OVERLAYS
    ]
    typed_for = {(group, arm): typed(group, arm) for group in groups for arm in arms(group)}
    with initialize_config_dir(CONF, version_base="1.3"):
        for group in groups:
            for arm in arms(group):
                config = compose("probe" if group == "probe" else "train", typed_for[group, arm])
                for node in nodes(OmegaConf.to_container(config, resolve=True)):
                    for name, parameter in parameters_of(locate(node["_target_"], group)).items():
                        if (
                            name in node
                            and name not in PASSED_ON
                            and parameter.default is not Parameter.empty
                        ):
                            found.setdefault(f"{node['_target_']}.{name}", []).append(node[name])
    return found


def default(key: str) -> Any:
    target, _, name = key.rpartition(".")
    value = parameters_of(locate(target, target))[name].default
    return list(value) if isinstance(value, tuple) else value


def test_a_default_in_a_class_is_a_value_that_some_arm_gives() -> None:
    values = given()
    assert len(values) > 50
    assert {key for key in values if _is_plain(values[key]) and default(key) not in values[key]} == set()


def _is_plain(values: Any) -> bool:
    """Whether nothing in it is made of keys, which a class has as an object."""
    return not isinstance(values, dict) and (not isinstance(values, list) or all(map(_is_plain, values)))
