"""What a later command takes over from the run whose weights it looks at."""

from collections.abc import Collection, Sequence
from pathlib import Path

from hydra import compose
from omegaconf import DictConfig, OmegaConf, open_dict

from dopsd.config.errors import UserError
from dopsd.config.saved import key_of, read_saved

OF_THE_MODEL = ("model", "lora", "lora_r", "lora_alpha", "lora_dropout")
OF_THE_TASK = ("task", "gen_length", "block_length", "denoising_steps")


def refuse_unread(overrides: Sequence[str], read: Collection[str], reader: str) -> None:
    """Raises UserError for an override of a key that this command does not read."""
    for override in overrides:
        if key_of(override).partition(".")[0] not in read:
            raise UserError(f"{override}: {reader} does not read it")


def as_in_the_run(
    entry: str, run: Path | None, overrides: Sequence[str]
) -> tuple[DictConfig, dict[str, str]]:
    """An entry's config with all that is the run's and was not typed, and the arms of that run."""
    if run is None:
        return compose(entry, list(overrides)), {}
    typed = list(map(key_of, overrides))
    if "adapter" in typed:
        raise UserError(f"adapter: checkpoint={run} has weights of its own, leave it out")
    saved = read_saved(run, "checkpoint")
    arms = {group: saved.command.arms[group] for group in ("model", "lora", "task") if group not in typed}
    config = compose(entry, [*(f"{group}={arm}" for group, arm in arms.items()), *overrides])
    for key in (*OF_THE_MODEL, *(() if "task" in typed else OF_THE_TASK)):
        if key not in typed:
            _take_over(config, saved, key, [t for t in typed if t.startswith(f"{key}.")])
    with open_dict(config):  # only a probe looks at the weights that the run started from
        config.adapter = saved.get("adapter") if entry == "probe" else None
    return config, arms


def _take_over(config: DictConfig, saved: DictConfig, key: str, typed: Sequence[str]) -> None:
    """The saved value of a key, with what was typed inside it."""
    given = {inner: OmegaConf.select(config, inner) for inner in typed}
    with open_dict(config):
        config[key] = saved[key]
        for inner, value in given.items():
            OmegaConf.update(config, inner, value)
