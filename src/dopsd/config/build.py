"""Config nodes become objects: the signature of the class is the schema, and an error names what the user typed."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from omegaconf import DictConfig, Node, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from dopsd.config.allowed import checked, parameters_of, shown
from dopsd.config.errors import UserError

TARGET = "_target_"


def build(config: DictConfig, key: str) -> Any:
    """The object that a node describes (None for null), its nodes built first; raises UserError."""
    recipe = prepare(config, key)
    return None if recipe is None else recipe()


def prepare(config: DictConfig, key: str) -> "Recipe | None":
    """A checked node that waits for the arguments which are not in the config; raises UserError."""
    key = typed_key(config, key)
    node = _read(config, key)
    if node is None:
        return None
    if not isinstance(node, DictConfig) or TARGET not in node:
        raise UserError(f"{key}={shown(node)}: must be one of its arms, or a node with {TARGET}")
    target = locate(node[TARGET], key)
    names = [str(name) for name in node if name != TARGET]
    return Recipe(key, target, _arguments(config, key, target, names), config)


def required(config: DictConfig, key: str) -> "Recipe":
    """The same for a node that must not be null."""
    recipe = prepare(config, key)
    if recipe is None:
        raise UserError(f"{key}=null: must be one of its arms")
    return recipe


def prepare_top_level(config: DictConfig, target: Callable) -> "Recipe":
    """The same for a class whose arguments are keys of the top level."""
    return Recipe("", target, _arguments(config, "", target, list(parameters_of(target))), config)


@dataclass(frozen=True)
class Recipe:
    """A function or class with checked arguments."""

    key: str
    target: Callable
    arguments: dict[str, Any]
    config: DictConfig = field(repr=False)

    def __call__(self, **given: Any) -> Any:
        """Calls it; a plain ValueError is the user's and raised as UserError, everything else stays what it is."""
        try:
            return self.target(**{**self.arguments, **given})
        except ValueError as error:
            if type(error) not in (ValueError, ValidationError):  # an error with a meaning of its own
                raise
            raise UserError(self._in_the_users_words(error)) from error

    def check(self, check: Callable[..., None], **given: Any) -> None:
        """Calls a check of some of the arguments, defaults included, and raises its ValueError as UserError."""
        wanted, parameters = parameters_of(check), parameters_of(self.target)
        defaults = {name: parameter.default for name, parameter in parameters.items()}
        arguments = {k: v for k, v in (defaults | self.arguments).items() if k in wanted}
        replace(self, target=check, arguments=arguments)(**given)

    def _in_the_users_words(self, error: ValueError) -> str:
        """The message, starting with the key that was typed."""
        message = " ".join(_first_message(error).split())
        found = re.match(r"([\w.]+)=((?:'[^']*'|[^\s:,])+),?:? (.*)", message)
        if found is None:
            return f"{self.key}: {message}" if self.key else message
        name, value, rest = found.groups()
        if name in self.arguments:
            name = typed_key(self.config, _join(self.key, name))
        return f"{name}={value.strip(chr(39))}: {rest}"


def typed_key(config: DictConfig, key: str) -> str:
    """The key that a user types to change a value: where it is only passed on (`${rho}`), the place it comes from."""
    seen: list[str] = []
    while key not in seen:
        seen.append(key)
        passed_on = re.fullmatch(r"\$\{([\w.]+)\}", raw_value(config, key) or "")
        if passed_on is not None and raw_value(config, passed_on[1]) is not None:
            key = passed_on[1]
    return key


def raw_value(config: DictConfig, key: str) -> str | None:
    """What stands in the config at a key, unresolved; None where there is nothing."""
    parent_key, _, name = key.rpartition(".")
    parent = OmegaConf.select(config, parent_key) if parent_key else config
    node = parent._get_node(name) if isinstance(parent, DictConfig) and name in list(parent) else None
    return str(node._value()) if isinstance(node, Node) else None


def suggestion(wrong: str, known: Collection[str]) -> str:
    """`; did you mean ...`, a name that begins so before one that is only like it, or all there is."""
    beginning = [name for name in known if wrong and name.startswith(wrong)]
    close = get_close_matches(wrong, beginning, n=1, cutoff=0) or get_close_matches(wrong, known, n=1)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known)) or 'none'}"


def _arguments(config: DictConfig, key: str, target: Callable, names: list[str]) -> dict[str, Any]:
    parameters, arguments = parameters_of(target), {}
    for name in names:
        inner = _join(key, name)
        value = _read(config, inner)
        if name not in parameters:
            known = [_join(key, parameter) for parameter in parameters]
            raise UserError(f"{inner}={shown(_plain(value))}: no such key; {suggestion(inner, known)}")
        if isinstance(value, DictConfig) and TARGET in value:
            arguments[name] = build(config, inner)
            continue
        try:
            arguments[name] = checked(_plain(value), parameters[name].annotation)
        except ValueError as error:
            raise UserError(f"{typed_key(config, inner)}={shown(_plain(value))}: {error}") from None
    return arguments


def _read(config: DictConfig, key: str) -> Any:
    try:
        return OmegaConf.select(config, key, throw_on_missing=True)
    except OmegaConfBaseException as error:
        typed = typed_key(config, key)
        raise UserError(f"{typed}={raw_value(config, typed)}: {str(error).splitlines()[0]}") from error


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def locate(path: str, key: str) -> Any:
    """The class or function of that name; raises UserError where it cannot be imported."""
    module, _, name = str(path).rpartition(".")
    try:
        target = getattr(import_module(module), name)
        parameters_of(target)
        return target
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise UserError(
            f"{key}.{TARGET}={path}: must be an importable class or function ({error})"
        ) from error


def _first_message(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    raised = first.get("ctx", {}).get("error")
    name = ".".join(map(str, first["loc"]))
    return str(raised) if raised is not None else f"{name}={shown(first['input'])}: {first['msg']}"


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
