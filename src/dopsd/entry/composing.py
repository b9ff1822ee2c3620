"""What went wrong while Hydra put the config together, in one line."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig

from dopsd.config.build import suggestion
from dopsd.config.errors import UserError


def explain(error: BaseException, arguments: Sequence[str], conf: str, config_name: str) -> str:
    """One line for an error of composing (or for a UserError), naming what was typed and what there is."""
    if isinstance(error, UserError):
        return error.message
    if isinstance(error, OverrideParseException):
        return f"{error.override}: cannot be read as key=value ({_first_line(error)})"
    if isinstance(error, MissingConfigException):
        return _no_such_arm(error, arguments)
    found = re.match(r"Could not (?:override|delete from config\.) '([^']+)'", str(error))
    if found is not None:
        return _no_such_key(found[1], arguments, conf, config_name)
    found = re.match(r"Ambiguous value for argument '(.+)'", str(error))
    if found is not None:
        return f"{found[1]}: several values need --multirun (one list is written [a,b])"
    found = re.match(r"Could not append to config. An item is already at '([^']+)'", str(error))
    if found is not None:
        typed = _typed(found[1], arguments)
        return f"{typed}: the key is there already, write {typed.lstrip('+')}"
    return _first_line(error)


def refuse_unknown_flags(arguments: Sequence[str]) -> None:
    """Raises UserError for `--rho 0.1` and the like, which argparse would answer with its usage text."""
    known = [option for action in get_args_parser()._actions for option in action.option_strings]
    for argument in arguments:
        flag, _, value = argument.partition("=")
        if flag.startswith("-") and not any(option.startswith(flag) for option in known) and flag.strip("-"):
            key = flag.lstrip("-").replace("-", "_")
            raise UserError(f"{argument}: no such flag; settings are written {key}={value or 'value'}")


def refuse_unknown_appended(config: DictConfig, overrides: Sequence[str], config_name: str) -> None:
    """Raises UserError for `+key=value` where nothing reads the key (a class looks after its own keys)."""
    appended = [override for override in overrides if override.startswith("+")]
    if not appended:
        return
    known = compose(config_name, [override for override in overrides if override not in appended])
    for override in appended:
        name = re.split(r"[.@=]", override.lstrip("+"))[0]
        if name not in known and "/" not in name and name != "hydra":
            raise UserError(f"{override}: no such key; {suggestion(name, [str(key) for key in known])}")


def arms(conf: str, group: str) -> list[str]:
    """The arms of a config group."""
    return sorted(file.stem for file in (Path(conf) / group).glob("*.yaml"))


def _no_such_arm(error: MissingConfigException, arguments: Sequence[str]) -> str:
    group, _, arm = str(error.missing_cfg_file).rpartition("/")
    if not group or not error.options:
        return f"{error.missing_cfg_file}: no such config"
    return f"{group}={arm}: no such arm; {suggestion(arm, error.options)} ({', '.join(error.options)})"


def _no_such_key(key: str, arguments: Sequence[str], conf: str, config_name: str) -> str:
    typed, group = _typed(key, arguments), key.partition("@")[0]
    known = list(_known_keys(conf, config_name))
    nearby = [k for k in known if k.rpartition(".")[0] == key.rpartition(".")[0]]
    hint = suggestion(key, known)
    if not hint.startswith("did you mean"):
        hint = suggestion(group, nearby) if "." in key and nearby else "--help lists what there is"
    there = arms(conf, hint.removeprefix("did you mean ").rstrip("?"))
    return f"{typed}: no such key; {hint}" + (f" ({', '.join(there)})" if there else "")


def _known_keys(conf: str, config_name: str) -> Iterator[str]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(conf, version_base="1.3"):
        yield from _paths(compose(config_name))


def _paths(node: DictConfig, prefix: str = "") -> Iterator[str]:
    for name in node:
        yield f"{prefix}{name}"
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not child._is_none() and not child._is_interpolation():
            yield from _paths(child, f"{prefix}{name}.")


def _typed(key: str, arguments: Sequence[str]) -> str:
    """The argument in which a key was typed."""
    return next((a for a in arguments if a.lstrip("+~").partition("=")[0] == key), key)


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
