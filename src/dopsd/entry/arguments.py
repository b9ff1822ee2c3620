"""What was typed, in the spelling that Hydra reads; what Hydra would explain badly or take in silence is refused."""

import re
from argparse import Namespace
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from dopsd import __version__
from dopsd.config.errors import UserError
from dopsd.config.paths import OUTPUTS, PATHS, spelled
from dopsd.entry.composing import CONF, arms

_SEVERAL = ("gen_length",)
_FUNCTION = re.compile(r"\w+\(.*\)")  # of Hydra's sweeps


def read_arguments(arguments: Sequence[str], entry: str) -> list[str]:
    """Flags first, then the overrides with each path in quotes where it needs them; raises UserError.

    `--version` ends the program.
    """
    _refuse_unknown_flags(arguments)
    parser = get_args_parser()
    parser.error = _refuse
    for action in parser._actions:
        if action.dest == "version":
            action.version = f"dopsd {__version__}"  # pyright: ignore[reportAttributeAccessIssue]
    read = parser.parse_intermixed_args(arguments)
    _refuse_flags(read, entry)
    flags, typed = [], list(read.overrides)
    for argument in arguments:
        if typed and argument == typed[0]:
            del typed[0]
        else:
            flags.append(argument)
    overrides = [_spelled(override, is_sweep=read.multirun, entry=entry) for override in read.overrides]
    if not read.shell_completion:
        for override, argument in zip(overrides, read.overrides, strict=True):
            _check(_parsed(override, argument), argument, entry)
    return [*flags, *overrides]


def _refuse(message: str) -> NoReturn:
    raise UserError(message)


def _refuse_unknown_flags(arguments: Sequence[str]) -> None:
    """`--rho 0.1` and `--rho=0.1`."""
    flags = [option for action in get_args_parser()._actions for option in action.option_strings]
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key.startswith("-") and not any(flag.startswith(key) for flag in flags):
            name = key.lstrip("-").replace("-", "_")
            raise UserError(f"{argument}: no such flag; settings are written {name}={value or 'value'}")


def _refuse_flags(read: Namespace, entry: str) -> None:
    if read.config_name not in (None, entry):
        raise UserError(
            f"--config-name {read.config_name}: dopsd.{entry} has the config {entry} "
            "(one of your own: --config-dir DIR experiment=NAME)"
        )
    if read.config_path is not None:
        raise UserError(
            f"--config-path {read.config_path}: must be --config-dir, which adds to the arms there are"
        )
    if read.experimental_rerun is not None:
        raise UserError(f"--experimental-rerun {read.experimental_rerun}: must be resume=RUN")
    if read.package is not None and read.cfg is None:
        raise UserError(f"--package {read.package}: needs --cfg")


def _spelled(argument: str, *, is_sweep: bool, entry: str) -> str:
    """The argument as Hydra reads it; raises UserError for a path that is none."""
    typed, equals, value = argument.partition("=")
    key = typed.lstrip("+")
    if key in _SEVERAL and entry == "evaluate" and not is_sweep and "," in value and value[0] not in "[{":
        return f"{typed}=[{value}]"
    if key in PATHS and equals and not (key == "html" and value in ("true", "false")):
        return f"{typed}={_spelled_path(key, value, is_sweep=is_sweep)}"
    return argument


def _spelled_path(key: str, value: str, *, is_sweep: bool) -> str:
    if value == "" or (value == "null" and key in (*OUTPUTS, "model.path")):
        raise UserError(f"{key}={value}: must be a {'text' if key == 'name' else 'path'}")
    if value in ("null", "???"):
        return value
    if key in ("compare", "runs"):
        return f"[{_joined(key, _cut(value.removeprefix('[').removesuffix(']')))}]"
    if is_sweep and key not in OUTPUTS and not Path(value).exists():
        return value if _FUNCTION.fullmatch(value) else _joined(key, value.split(","))
    return _joined(key, [value])


def _joined(key: str, paths: Sequence[str]) -> str:
    return ",".join(path if _is_quoted(path) else spelled(key, path) for path in paths)


def _is_quoted(value: str) -> bool:
    return len(value) > 1 and value[0] == value[-1] and value[0] in "'\""


def _cut(value: str) -> list[str]:
    """The paths in `A,B`, which may have commas in them: cut so that all are there; else at every comma."""
    parts = value.split(",") if value else []
    return _there(parts) or parts


def _there(parts: Sequence[str]) -> list[str]:
    """As few paths as are found that are all there, of parts in their order; none where there is no such cut."""
    for i in range(len(parts), 0, -1):
        first = ",".join(parts[:i]).strip()
        rest = _there(parts[i:])
        if Path(first).exists() and (rest or i == len(parts)):
            return [first, *rest]
    return []


def _parsed(override: str, argument: str) -> Override:
    try:
        return OverridesParser.create().parse_override(override)
    except HydraException as error:
        why = str(error).splitlines()[0]
        raise UserError(f"{argument}: cannot be read as key=value ({why})") from error


def _check(override: Override, argument: str, entry: str) -> None:
    key, there = override.key_or_group, arms(override.key_or_group)
    if not key:
        raise UserError(f"{argument}: cannot be read as key=value")
    if override.is_delete():
        raise UserError(f"{argument}: a key cannot be deleted, only changed")
    if override.package is not None:
        raise UserError(f"{argument}: an arm cannot be moved, it is written {key}=arm")
    for value in _values(override):
        if (there or "/" in key) and (not isinstance(value, str) or not _is_an_arm(value, there)):
            allowed = f"one of {', '.join(there)}" if there else "the name of an arm"
            raise UserError(f"{argument}: must be {allowed}")
        if not there and not isinstance(value, dict) and (keys := _nodes(entry).get(key)):
            raise UserError(f"{argument}: is set by its keys ({', '.join(keys)})")


def _is_an_arm(value: str, there: Sequence[str]) -> bool:
    """Whether it can be one; of names that are nowhere, Hydra says so."""
    return value in there or (value.lower() not in ("", "null", "none", "~") and not value.endswith(".yaml"))


def _values(override: Override) -> list[Any]:
    if not override.is_sweep_override():
        return [override.value()]
    swept = override.value()
    return list(map(Override._convert_value, swept.list)) if isinstance(swept, ChoiceSweep) else []


@cache
def _nodes(entry: str) -> dict[str, list[str]]:
    """The nodes that stand in an entry's own file or in a method's (they are no groups), with their keys."""
    names = [entry] if entry in ("grade", "report") else [entry, "train", "method/*", "rollout/*"]
    files = [file for name in names for file in Path(CONF).glob(f"{name}.yaml")]
    return {key: keys for file in files for key, keys in _nodes_in(OmegaConf.load(file))}


def _nodes_in(node: Any, prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    for name in node:
        child = node._get_node(name)
        if isinstance(child, DictConfig) and name != "hydra":
            key = f"{prefix}{name}"
            yield key, [f"{key}.{inner}" for inner in child if inner != "_target_"]
            yield from _nodes_in(child, f"{key}.")
