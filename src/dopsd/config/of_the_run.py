"""What a later command takes over from the run whose weights it looks at."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf, open_dict

from dopsd.config.errors import UserError
from dopsd.config.saved import key_of, read_saved
from dopsd.config.trust import trusted_nodes

OF_THE_MODEL = ("model", "lora", "lora_r", "lora_alpha", "lora_dropout")
OF_THE_TASK = ("task", "gen_length", "block_length", "denoising_steps")
OF_THE_PROMPTS = ("evaluation",)  # older runs have none
OF_THE_DECODING = ("remasking", "end_of_text", "cfg_scale")


def refuse_unread(overrides: Sequence[str], read: Collection[str], reader: str) -> None:
    """Raises UserError for an override of a key that this command does not read."""
    for override in overrides:
        if key_of(override).partition(".")[0] not in read:
            raise UserError(f"{override}: {reader} does not read it")


def as_in_the_run(
    entry: str, run: Path | None, overrides: Sequence[str], *, trust: object
) -> tuple[DictConfig, dict[str, str]]:
    """An entry's config with all that is the run's and was not typed, and the arms of that run.

    Of the run's config only that is read, and only there it must not name code that is not to be trusted.
    """
    if run is None:
        return compose(entry, list(overrides)), {}
    typed = list(map(key_of, overrides))
    if "adapter" in typed:
        raise UserError(f"adapter: checkpoint={run} has weights of its own, leave it out")
    saved = read_saved(run, "checkpoint")
    arms = {group: saved.command.arms[group] for group in ("model", "lora", "task") if group not in typed}
    there = [f"{group}={arm}" for group, arm in arms.items() if _is_arm(group, arm)]
    config = compose(entry, [*there, *overrides])
    keys = [key for key in (*OF_THE_MODEL, *(() if "task" in typed else OF_THE_TASK)) if key not in typed]
    keys += [key for key in OF_THE_PROMPTS if key in saved and key not in typed]
    nodes = trusted_nodes(saved, keys, trust=trust, subject=f"checkpoint={run}", typed=typed)
    for key, node in nodes.items():
        _take_over(config, node, key, [t for t in typed if t.startswith(f"{key}.")])
    for key in OF_THE_DECODING:
        if key not in typed:
            config[key] = saved.evaluation_sampler[key]
    with open_dict(config):  # only a probe looks at the weights that the run started from
        config.adapter = saved.get("adapter") if entry == "probe" else None
    return config, arms


def _is_arm(group: str, arm: str) -> bool:
    """Whether the group has this arm here: one from a directory of the user's own (--config-dir) stands in the run."""
    return arm in GlobalHydra.instance().config_loader().get_group_options(group)


def _take_over(config: DictConfig, saved: Any, key: str, typed: Sequence[str]) -> None:
    """The saved value of a key, with what was typed inside it."""
    given = {inner: OmegaConf.select(config, inner) for inner in typed}
    with open_dict(config):
        config[key] = saved
        for inner, value in given.items():
            OmegaConf.update(config, inner, value)
