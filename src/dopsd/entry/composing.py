"""What went wrong while Hydra put the config together, in one line."""

import re
from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig

from dopsd.config.build import suggestion
from dopsd.config.errors import ElsewhereError, UserError
from dopsd.config.of_a_probe import read_by_probe
from dopsd.config.rows import READ_BY_EVALUATION
from dopsd.config.saved import key_of

_PACKAGE = Path(__file__).parents[1]
CONF = str(next(p for p in (_PACKAGE / "conf", _PACKAGE.parents[1] / "conf") if p.is_dir()))
"""The config tree: inside the package where it was installed from a wheel, else in the checkout."""
_ELSEWHERE = "--help lists what there is"


def explain(error: BaseException, arguments: Sequence[str], entry: str) -> str:
    """One line for an error of composing (or for a UserError), naming what was typed and what there is."""
    if isinstance(error, UserError | ElsewhereError):
        return str(error)
    if isinstance(error, OverrideParseException):
        return f"{error.override}: cannot be read as key=value ({_first_line(error)})"
    if isinstance(error, MissingConfigException):
        return _no_such_arm(error)
    for pattern, line in (
        (r"Could not (?:override|delete from config\.) '([^']+)'", _no_such_key),
        (r"Could not append to config. An item is already at '([^']+)'", _there_already),
        (r"Ambiguous value for argument '(.+)'", _several_values),
        (
            r"You must specify '(.+)', e.g",
            lambda key, *_: f"{key}=???: must be one of {', '.join(arms(key))}",
        ),
    ):
        found = re.match(pattern, str(error))
        if found is not None:
            return line(found[1], arguments, entry)
    if merging := re.match(r"Error merging override (.*)", str(error)):
        return f"{merging[1]}: {_first_line(error.__cause__ or error)}"
    return _first_line(error)


def refuse_unknown_appended(config: DictConfig, overrides: Sequence[str], entry: str) -> None:
    """Raises UserError for `+key=value` where nothing reads the key (a class looks after its own keys)."""
    appended = [override for override in overrides if override.startswith("+")]
    if not appended:
        return
    known = compose(entry, [override for override in overrides if override not in appended])
    for override in appended:
        name = key_of(override).partition(".")[0]
        if name not in known and "/" not in name and name != "hydra":
            raise UserError(f"{override}: no such key; {_hint(name, [str(key) for key in known])}")


def arms(group: str) -> list[str]:
    """The arms of a config group."""
    return sorted(file.stem for file in (Path(CONF) / group).glob("*.yaml")) if group else []


def _no_such_arm(error: MissingConfigException) -> str:
    missing = str(error.missing_cfg_file)
    first, _, rest = missing.partition("/")
    group, arm = (first, rest) if arms(first) and first != "hydra" else missing.rpartition("/")[::2]
    if not group or not error.options:
        return f"{missing}: no such config"
    hint = suggestion(arm, error.options)
    there = f" ({', '.join(error.options)})" if hint.startswith("did you") else ""
    return f"{group}={arm}: no such arm; {hint}{there}"


def _no_such_key(key: str, arguments: Sequence[str], entry: str) -> str:
    parent, known = key.rpartition(".")[0], _known_keys(key, arguments, entry)
    siblings = [k for k in known if k.rpartition(".")[0] == parent]
    if parent in known and not siblings:
        hint, there = f"{parent} has no keys", arms(parent)
    else:
        hint = _hint(key, siblings if parent in known else known)
        there = arms(parent) or arms(hint.removeprefix("did you mean ").rstrip("?"))
    return f"{_typed(key, arguments)}: no such key; {hint}" + (
        f" (arms: {', '.join(there)})" if there else ""
    )


def _hint(key: str, known: Collection[str]) -> str:
    """The key that was meant; else the others beside it, or where to look."""
    parent, _, name = key.rpartition(".")
    same_name = [there for there in known if there.rpartition(".")[2] == name]
    names = {there.rpartition(".")[2]: there for there in known if there.rpartition(".")[0] == parent}
    close = [names[it] for it in get_close_matches(name, names, n=1)]
    for meant in (*same_name, *close, *get_close_matches(key, known, n=1, cutoff=0.75)):
        return f"did you mean {meant}?"
    return f"there are {', '.join(sorted(known))}" if parent and names else _ELSEWHERE


def _there_already(key: str, arguments: Sequence[str], *_: str) -> str:
    typed = _typed(key, arguments)
    return f"{typed}: the key is there already, write {typed.lstrip('+')}"


def _several_values(typed: str, *_: object) -> str:
    return f"{typed}: several values need --multirun (one list is written [a,b])"


def _known_keys(wrong: str, arguments: Sequence[str], entry: str) -> list[str]:
    """All keys that this command reads, with the arms that were typed where these compose."""
    choices = [a for a in arguments if re.match(r"\w+=\w+$", a) and arms(key_of(a)) and key_of(a) != wrong]
    GlobalHydra.instance().clear()
    with initialize_config_dir(CONF, version_base="1.3"):
        try:
            config = compose(entry, choices)
        except HydraException:
            config = compose(entry)
    probe = next((a.partition("=")[2] for a in reversed(choices) if key_of(a) == "probe"), "toy_verification")
    read = {"evaluate": READ_BY_EVALUATION, "probe": read_by_probe(probe)}.get(entry)
    return [key for key in _paths(config) if read is None or key.partition(".")[0] in read]


def _paths(node: DictConfig, prefix: str = "") -> Iterator[str]:
    for name in (str(key) for key in node if key != "_target_"):
        yield f"{prefix}{name}"
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not child._is_none() and not child._is_interpolation():
            yield from _paths(child, f"{prefix}{name}.")


def _typed(key: str, arguments: Sequence[str]) -> str:
    """The argument in which a key was typed."""
    return next((argument for argument in arguments if key_of(argument) == key), key)


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
