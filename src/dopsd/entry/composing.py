"""What went wrong while Hydra put the config together, in one line."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig

from dopsd.config.build import suggestion
from dopsd.config.errors import UserError

_PACKAGE = Path(__file__).parents[1]
CONF = str(next(p for p in (_PACKAGE / "conf", _PACKAGE.parents[1] / "conf") if p.is_dir()))
"""The config tree: inside the package where it was installed from a wheel, else in the checkout."""


def explain(error: BaseException, arguments: Sequence[str], config_name: str) -> str:
    """One line for an error of composing (or for a UserError), naming what was typed and what there is."""
    if isinstance(error, UserError):
        return error.message
    if isinstance(error, OverrideParseException):
        return f"{error.override}: cannot be read as key=value ({_first_line(error)})"
    if isinstance(error, MissingConfigException):
        return _no_such_arm(error)
    for pattern, line in (
        (r"Could not (?:override|delete from config\.) '([^']+)'", _no_such_key),
        (r"Could not append to config. An item is already at '([^']+)'", _there_already),
        (r"Ambiguous value for argument '(.+)'", _several_values),
    ):
        found = re.match(pattern, str(error))
        if found is not None:
            return line(found[1], arguments, config_name)
    return _first_line(error)


def refuse_what_hydra_cannot_explain(arguments: Sequence[str]) -> None:
    """Raises UserError for `task=null`, and where argparse would print its usage: `--rho 0.1`, `rho=1 -m seed=2`."""
    parser = get_args_parser()
    flags = [option for action in parser._actions for option in action.option_strings]
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key.startswith("-") and not any(flag.startswith(key) for flag in flags):
            name = key.lstrip("-").replace("-", "_")
            raise UserError(f"{argument}: no such flag; settings are written {name}={value or 'value'}")
        if (
            key
            and arms(key)
            and value.lower() in ("", "null", "none", "~")
            and value.lower() not in arms(key)
        ):
            raise UserError(f"{argument}: must be one of {', '.join(arms(key))}")
    _, left_over = parser.parse_known_args(arguments)
    if left_over:
        raise UserError(f"{left_over[0]}: settings stand all before the flags or all behind them")


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


def arms(group: str) -> list[str]:
    """The arms of a config group."""
    return sorted(file.stem for file in (Path(CONF) / group).glob("*.yaml"))


def _no_such_arm(error: MissingConfigException) -> str:
    group, _, arm = str(error.missing_cfg_file).rpartition("/")
    if not group or not error.options:
        return f"{error.missing_cfg_file}: no such config"
    hint = suggestion(arm, error.options)
    there = f" ({', '.join(error.options)})" if hint.startswith("did you") else ""
    return f"{group}={arm}: no such arm; {hint}{there}"


def _no_such_key(key: str, arguments: Sequence[str], config_name: str) -> str:
    parent, known = key.rpartition(".")[0], _known_keys(key, arguments, config_name)
    siblings = [k for k in known if k.rpartition(".")[0] == parent]
    if parent in known:
        hint = suggestion(key, siblings) if siblings else f"{parent} has no keys"
        there = arms(parent)
    else:
        hint = suggestion(key, known)
        there = arms(hint.removeprefix("did you mean ").rstrip("?"))
        hint = hint if hint.startswith("did you") else "--help lists what there is"
    return f"{_typed(key, arguments)}: no such key; {hint}" + (
        f" (arms: {', '.join(there)})" if there else ""
    )


def _there_already(key: str, arguments: Sequence[str], *_: str) -> str:
    typed = _typed(key, arguments)
    return f"{typed}: the key is there already, write {typed.lstrip('+')}"


def _several_values(typed: str, *_: object) -> str:
    return f"{typed}: several values need --multirun (one list is written [a,b])"


def _known_keys(wrong: str, arguments: Sequence[str], config_name: str) -> list[str]:
    """All keys there are, with the arms that were typed where these compose."""
    choices = [
        a for a in arguments if re.match(r"\w+=\w+$", a) and arms(a.partition("=")[0]) and _key(a) != wrong
    ]
    GlobalHydra.instance().clear()
    with initialize_config_dir(CONF, version_base="1.3"):
        try:
            return list(_paths(compose(config_name, choices)))
        except HydraException:
            return list(_paths(compose(config_name)))


def _paths(node: DictConfig, prefix: str = "") -> Iterator[str]:
    for name in (str(key) for key in node if key != "_target_"):
        yield f"{prefix}{name}"
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not child._is_none() and not child._is_interpolation():
            yield from _paths(child, f"{prefix}{name}.")


def _typed(key: str, arguments: Sequence[str]) -> str:
    """The argument in which a key was typed."""
    return next((argument for argument in arguments if _key(argument) == key), key)


def _key(argument: str) -> str:
    return argument.lstrip("+~").partition("=")[0]


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
