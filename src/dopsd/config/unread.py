"""What was typed and nothing in a run reads: found by following the references (`${rho}`) of its config."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from dopsd.config.errors import UserError

READ_BY_EVERY_RUN = (
    *("name", "paths", "resume", "trust", "init", "adapter"),
    *("method", "task", "model", "lora", "trainer", "logger", "callbacks"),
    *("evaluation_sampler", "evaluation"),
    *("seed", "max_steps", "prompts_per_step", "early_stopping", "stop_at", "curve_over"),
    *("eval_every", "eval_batch_size", "eval_batch_tokens", "eval_limit"),
    *("long_prompts", "max_prompt_length"),
)
_EVERY_METHODS = "ours"
_PRESET_OF_A_METHOD = "parity/method"
BRINGING = ("source", "answers", "pairs")
"""Groups of a method whose arms bring different keys."""
_DECIDING = ("method", *BRINGING, "teacher", "lora")


def refuse_unread_by_run(config: DictConfig, arms: Mapping[str, str], typed: Mapping[str, str]) -> None:
    """Raises UserError for an override (given by its key) of a key or an arm that nothing in the run leads to."""
    _refuse_absent_preset(arms)
    read = reached(config, READ_BY_EVERY_RUN)
    for key, override in typed.items():
        is_overlay = key in arms and key not in config
        if not is_overlay and not _is_touched(key, read):
            raise UserError(f"{override}: {_deaf_to(key, arms)}")


def reached(config: DictConfig, roots: Collection[str]) -> set[str]:
    """The keys of these nodes, of all in them, and of all that they refer to."""
    whole = OmegaConf.to_container(config, resolve=False)
    found: set[str] = set()
    ahead = list(roots)
    while ahead:
        key = ahead.pop()
        if key not in found:
            found.add(key)
            ahead += _leads_to(whole, key)
    return found


def _leads_to(whole: Any, key: str) -> Iterator[str]:
    node, parent = whole, ""
    for name in key.split("."):
        if isinstance(node, str):  # what is inside is inside what it refers to
            break
        if not isinstance(node, dict) or name not in node:
            return
        node, parent = node[name], f"{parent}.{name}".lstrip(".")
    if isinstance(node, dict):
        yield from (f"{key}.{name}" for name in node)
    else:
        yield from _references(node, parent)


def _references(node: Any, key: str = "") -> Iterator[str]:
    """Every key that is named in a value or in what is in it; `${.x}` is beside the key, `${..x}` beside its parent."""
    if isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            yield from _references(child, key)
    for inside in re.findall(r"\$\{([^{}$]+)", node) if isinstance(node, str) else ():
        for dots, name in re.findall(r"(\.*)(\w[\w.]*)", inside.rpartition(":")[2]):
            parents = key.split(".")[: -len(dots)] if dots else []
            yield ".".join([*parents, name])


def _is_touched(key: str, others: Collection[str]) -> bool:
    """Whether it is one of the others, or around or inside one."""
    return any(f"{key}.".startswith(f"{it}.") or it.startswith(f"{key}.") for it in others)


def _deaf_to(key: str, arms: Mapping[str, str]) -> str:
    """The chosen arms in whose place another arm would read the key; else those that decide most."""
    groups = [group for group in arms if "/" not in group and not _reads(group, arms[group], key)]
    deaf = [group for group in groups if any(_reads(group, arm, key) for arm in _options(group))]
    if deaf:
        return f"{' '.join(f'{group}={arms[group]}' for group in deaf)} does not read it"
    deciding = " ".join(f"{group}={arms[group]}" for group in _DECIDING if group in arms)
    return f"nothing in this run reads it ({deciding})"


def _reads(group: str, arm: str, key: str) -> bool:
    loaded = GlobalHydra.instance().config_loader().repository.load_config(f"{group}/{arm}")  # pyright: ignore
    if loaded is None:
        return False
    return _is_touched(key, list(_references(OmegaConf.to_container(loaded.config, resolve=False))))


def _options(group: str) -> list[str]:
    return GlobalHydra.instance().config_loader().get_group_options(group)


def _refuse_absent_preset(arms: Mapping[str, str]) -> None:
    """A preset is a pair of a name and a method."""
    there = _options(_PRESET_OF_A_METHOD)
    preset, method = arms["parity"], arms["method"]
    if preset != _EVERY_METHODS and f"{preset}_{method}" not in there:
        others = [it.removesuffix(f"_{method}") for it in there if it.endswith(f"_{method}")]
        allowed = ", ".join(sorted({_EVERY_METHODS, *others}))
        raise UserError(f"parity={preset}: method={method} has only {allowed}")
