"""What went wrong while Hydra put the config together, in one line."""

import re
from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf

from dopsd.config.build import suggestion
from dopsd.config.errors import ElsewhereError, UserError
from dopsd.config.of_a_probe import read_by_probe
from dopsd.config.rows import READ_BY_EVALUATION
from dopsd.config.saved import key_of
from dopsd.config.unread import BRINGING, READ_BY_EVERY_RUN, reached

_PACKAGE = Path(__file__).parents[1]
CONF = str(next(p for p in (_PACKAGE / "conf", _PACKAGE.parents[1] / "conf") if p.is_dir()))
"""The config tree: inside the package where it was installed from a wheel, else in the checkout."""
_ELSEWHERE = "--help lists what there is"
_IN_AN_EXTRA = {
    "hydra/launcher": dict.fromkeys(("joblib", "submitit_local", "submitit_slurm"), "launchers"),
    "hydra/sweeper": {"optuna": "optuna"},
}
"""Arms that come with other packages, and what to install for them."""


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
            line = _of_another_method(name, overrides, entry)
            raise UserError(
                f"{override}: {line or 'no such key; ' + _hint(name, [str(key) for key in known])}"
            )


def arms(group: str) -> list[str]:
    """The arms of a config group."""
    return sorted(file.stem for file in (Path(CONF) / group).glob("*.yaml")) if group else []


def groups_in_play(*, _root_: DictConfig) -> str:
    """A line for each group that the composed command reads, with its arms: for --help."""
    read = reached(_root_, (*READ_BY_EVERY_RUN, "probe"))
    groups = [group for group in _root_.hydra.runtime.choices if group in read or _is_overlay(group)]
    return "\n".join(f"{group}: {', '.join(arms(group))}" for group in sorted(groups))


def _is_overlay(group: str) -> bool:
    """Whether its arms set keys of the top level in place of a node of their own; `a/b` goes along with a and b."""
    files = [Path(CONF) / group / f"{arm}.yaml" for arm in arms(group)]
    return "/" not in group and all(file.read_text().startswith("# @package _global_") for file in files)


OmegaConf.register_new_resolver("groups_in_play", groups_in_play, replace=True)


def _no_such_arm(error: MissingConfigException) -> str:
    missing = str(error.missing_cfg_file)
    first, _, rest = missing.partition("/")
    group, arm = (first, rest) if arms(first) and first != "hydra" else missing.rpartition("/")[::2]
    if not group or not error.options:
        return f"{missing}: no such config"
    if arm in (of_it := _IN_AN_EXTRA.get(group, {})):
        return f'{group}={arm}: needs another package (pip install "dopsd[{of_it[arm]}]")'
    hint = suggestion(arm, error.options)
    there = f" ({', '.join(error.options)})" if hint.startswith("did you") else ""
    return f"{group}={arm}: no such arm; {hint}{there}"


def _no_such_key(key: str, arguments: Sequence[str], entry: str) -> str:
    if elsewhere := _of_another_method(key, arguments, entry):
        return f"{_typed(key, arguments)}: {elsewhere}"
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
    choices = _choices(wrong, arguments)
    config = _composed(entry, choices)
    probe = next((a.partition("=")[2] for a in reversed(choices) if key_of(a) == "probe"), "toy_verification")
    read = {"evaluate": READ_BY_EVALUATION, "probe": read_by_probe(probe)}.get(entry)
    return [key for key in _paths(config) if read is None or key.partition(".")[0] in read]


def _choices(wrong: str, arguments: Sequence[str]) -> list[str]:
    """The arms that were typed, but for the key in question."""
    return [a for a in arguments if re.match(r"\w+=\w+$", a) and arms(key_of(a)) and key_of(a) != wrong]


def _composed(entry: str, choices: Sequence[str]) -> DictConfig:
    """The config with these arms, or where they do not compose with the usual ones."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(CONF, version_base="1.3"):
        try:
            return compose(entry, list(choices), return_hydra_config=True)
        except HydraException:
            return compose(entry, return_hydra_config=True)


def _of_another_method(key: str, arguments: Sequence[str], entry: str) -> str | None:
    """Which methods have the key, where the chosen one, or one of the swept, has not; else whose arm has not."""
    if entry != "train":
        return None
    name = key.partition(".")[0]
    having = [method for method in arms("method") if name in _composed(entry, [f"method={method}"])]
    without = [method for method in _methods(arguments) if method not in having]
    if having and not without:
        chosen = [choice for choice in _choices(name, arguments) if key_of(choice) in BRINGING]
        lacks = chosen and name not in _composed(entry, _choices(name, arguments))
        return f"{' '.join(chosen)} has no {name}" if lacks else None
    if not having:
        return None
    others = ", ".join(f"method={method}" for method in having)
    return f"method={without[0]} has no {name}; {others} {'has' if len(having) == 1 else 'have'}"


def _methods(arguments: Sequence[str]) -> list[str]:
    """The method that was chosen, by name or by an experiment; several in a sweep."""
    typed = [argument for argument in arguments if key_of(argument) == "method"]
    swept = [method for method in re.findall(r"\w+", "".join(typed[-1:])) if method in arms("method")]
    return swept or [_composed("train", _choices("", arguments)).hydra.runtime.choices.method]


def _paths(node: DictConfig, prefix: str = "") -> Iterator[str]:
    for name in (str(key) for key in node if key not in ("_target_", "hydra")):
        yield f"{prefix}{name}"
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not child._is_none() and not child._is_interpolation():
            yield from _paths(child, f"{prefix}{name}.")


def _typed(key: str, arguments: Sequence[str]) -> str:
    """The argument in which a key was typed."""
    return next((argument for argument in arguments if key_of(argument) == key), key)


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
