"""Which code a saved config may name: what this project is made of, and the modules that `trust` adds."""

import re
import sys
from collections.abc import Collection, Iterator, Sequence
from inspect import isclass, isfunction
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dopsd.config.build import TARGET, locate
from dopsd.config.errors import UserError

_NAMED = ("dopsd", "lightning", "torch.optim")
_DEFINED = ("dopsd", "lightning.pytorch.loggers", "lightning.pytorch.trainer", "torch.optim")
_FUNCTION = "verifier"  # the key of a task that takes a function by its name
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


class ForeignCodeError(UserError):
    """A saved config names code that nobody has said to trust, or that is not here."""


def trusted_nodes(
    saved: DictConfig, keys: Collection[str], *, trust: object, subject: str, typed: Collection[str] = ()
) -> dict[str, Any]:
    """What a saved config holds at these keys, with nothing left in it to be looked up.

    `trust` is a module or several, beside this project, whose code it may name; a target whose key was typed is the
    user's own. Raises UserError, and ForeignCodeError for other code, in a line that starts with the subject.
    """
    modules = _modules(trust)
    try:
        written, nodes = ({key: _container(saved[key], resolve=it) for key in keys} for it in (False, True))
    except OmegaConfBaseException as error:
        raise UserError(f"{subject}: config.yaml cannot be read ({error})") from error
    for where, target in (*_targets(written), *_targets(nodes)):
        if where not in typed:
            _check(target, modules, subject)
    return nodes


def _modules(trust: object) -> tuple[str, ...]:
    names = [] if trust is None else list(trust) if isinstance(trust, ListConfig) else [trust]
    for name in names:
        if not isinstance(name, str) or not _MODULE.fullmatch(name):
            raise UserError(f"trust={name}: must be the name of a module, as my.module, or several, [a,b]")
    return tuple(map(str, names))


def _container(value: Any, *, resolve: bool) -> Any:
    return OmegaConf.to_container(value, resolve=resolve) if OmegaConf.is_config(value) else value


def _check(target: str, modules: Sequence[str], subject: str) -> None:
    """What counts is where a class or function is defined: `dopsd.train.Path` is not ours.

    Nothing is imported for that but what stands under a name that is trusted.
    """
    if not _is_in(target, (*_NAMED, *modules)):
        raise _refusal(subject, target, target.rpartition(".")[0])
    try:
        found = locate(target, "")
    except UserError as error:
        why = f"which cannot be imported ({error.__cause__})"
        raise ForeignCodeError(f"{subject}: config.yaml names {target}, {why}") from error
    defined = found.__module__ if isclass(found) or isfunction(found) else ""
    is_ours = _is_in(f"{defined}.", _DEFINED) and not re.search(r"(^|\.)_", target)
    if not is_ours and not _is_in(f"{defined}.", modules):
        raise _refusal(subject, target, defined)


def _refusal(subject: str, target: str, module: str) -> ForeignCodeError:
    is_theirs = _MODULE.fullmatch(module) and module.partition(".")[0] not in sys.stdlib_module_names
    hint = f"; trust={module} allows it" if is_theirs else ""
    return ForeignCodeError(f"{subject}: config.yaml names {target}, which is not part of dopsd{hint}")


def _is_in(name: str, modules: Sequence[str]) -> bool:
    return name.startswith(tuple(f"{module}." for module in modules))


def _targets(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every target in a node, and every function that is named as one, with its key."""
    named = list(node.items()) if isinstance(node, dict) else []
    yield from ((f"{key}{name}", str(child)) for name, child in named if name == TARGET)
    yield from (
        (f"{key}{name}", child) for name, child in named if name == _FUNCTION and isinstance(child, str)
    )
    for name, child in named or (enumerate(node) if isinstance(node, list) else ()):
        yield from _targets(child, f"{key}{name}.")
