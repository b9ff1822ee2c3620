"""The config that a run leaves behind, and how a later command takes it up: to resume, or to evaluate."""

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.conf import HydraConf
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from dopsd.config.errors import UserError

CONFIG = "config.yaml"
RESUME_POINT = "resume.ckpt"
_FREE_ON_RESUME = ("resume", "max_steps", "trainer")
_TRUSTED = ("dopsd.", "lightning.", "torch.optim.")
_OF_THE_MODEL = ("model", "lora", "lora_r", "lora_alpha", "lora_dropout")
_OF_DECODING = ("remasking", "threshold", "end_of_text", "cfg_scale", "cache")
_OF_THE_TASK = ("task", "gen_length", "block_length", "denoising_steps")
_OF_AN_EVALUATION = (
    "checkpoint weights split temperature seed greedy name eval_limit eval_batch_size trainer paths debug"
)
_OF_ANY_PROBE = (*_OF_AN_EVALUATION.split(), "probe", "max_attempts", "rollout", "parity")
_READ_BY = {
    "an evaluation": (*_OF_THE_MODEL, *_OF_THE_TASK, *_OF_DECODING, *_OF_AN_EVALUATION.split()),
    "probe=toy_verification": (*_OF_THE_MODEL, *_OF_THE_TASK, *_OF_ANY_PROBE),
    "probe=overlap": (*_OF_THE_MODEL, *_OF_THE_TASK, *_OF_ANY_PROBE, "rho", "topk", "objective", "learning"),
}


def planned(config: DictConfig, hydra: HydraConf | DictConfig) -> DictConfig:
    """What a command really asks for, with the arms and overrides that led to it under `command`.

    Raises UserError for what a resumed run or an evaluation cannot take.
    """
    overrides = [str(override) for override in OmegaConf.to_container(hydra.overrides.task, resolve=False)]  # pyright: ignore
    if config.resume is not None:
        return _resumed(config, overrides)
    arms = {group: arm for group, arm in hydra.runtime.choices.items() if not group.startswith("hydra")}
    config = copy.deepcopy(config)
    if "checkpoint" in config:
        probe = arms.get("probe")
        _refuse_unread(overrides, f"probe={probe}" if probe else "an evaluation")
        config, of_the_run = _evaluated(config, overrides, "probe" if probe else "evaluate")
        arms |= of_the_run
    with open_dict(config):
        config.command = {"arms": arms, "overrides": overrides}
    return config


def written_out(config: DictConfig) -> DictConfig:
    """A copy with every number in its place; only whole nodes that are passed on (`${teacher}`) stay references."""
    whole = OmegaConf.create(OmegaConf.to_container(config, resolve=False))
    assert isinstance(whole, DictConfig)
    _resolve(whole)
    return whole


def read_saved(directory: Path, key: str) -> DictConfig:
    """The config of a run; raises UserError where there is none, or where it names code that is not ours."""
    file = directory / CONFIG
    if not file.is_file():
        raise UserError(f"{key}={directory}: must be a run's directory (there is no {CONFIG} in it)")
    try:
        config = OmegaConf.load(file)
    except (OSError, ValueError, OmegaConfBaseException) as error:
        raise UserError(f"{key}={directory}: {CONFIG} cannot be read ({error})") from error
    if not isinstance(config, DictConfig) or "command" not in config:
        raise UserError(f"{key}={directory}: {CONFIG} is not that of a run")
    for target in _targets(OmegaConf.to_container(config, resolve=False)):
        if not str(target).startswith(_TRUSTED):
            raise UserError(f"{key}={directory}: {CONFIG} names {target}, which is not part of dopsd")
    return config


def _resumed(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The run's own config; only its end and the hardware can be changed."""
    for override in overrides:
        if _key(override).partition(".")[0] not in _FREE_ON_RESUME:
            raise UserError(
                f"{override}: a resumed run keeps its settings, only max_steps and trainer can be given"
            )
    directory = Path(config.resume)
    saved = read_saved(directory, "resume")
    if not (directory / RESUME_POINT).is_file():
        raise UserError(
            f"resume={directory}: the run has not reached its first {RESUME_POINT}, start it anew"
        )
    if any(_key(override) == "max_steps" for override in overrides):
        saved.max_steps = saved.method.max_steps = config.max_steps
        saved.command.overrides.append(f"max_steps={config.max_steps}")
    _change_hardware(saved, config, overrides)
    saved.resume = str(directory)
    return saved


def _change_hardware(saved: DictConfig, config: DictConfig, overrides: Sequence[str]) -> None:
    typed = [override for override in overrides if _key(override).partition(".")[0] == "trainer"]
    if any(_key(override) == "trainer" for override in typed):
        saved.trainer = config.trainer
    for key in map(_key, typed):
        OmegaConf.update(saved, key, OmegaConf.select(config, key))
    saved.command.overrides.extend(typed)


def _refuse_unread(overrides: Sequence[str], reader: str) -> None:
    for override in overrides:
        if _key(override).partition(".")[0] not in _READ_BY[reader]:
            raise UserError(f"{override}: {reader} does not read it")


def _evaluated(config: DictConfig, overrides: Sequence[str], entry: str) -> tuple[DictConfig, dict[str, str]]:
    """The config with everything from the checkpoint's run that was not typed, and the arms of that run."""
    typed = [_key(override) for override in overrides]
    if config.checkpoint is None:
        return config, {}
    saved = read_saved(Path(config.checkpoint), "checkpoint")
    arms = {group: saved.command.arms[group] for group in ("model", "lora", "task") if group not in typed}
    config = compose(entry, [*(f"{group}={arm}" for group, arm in arms.items()), *overrides])
    for key in (*_OF_THE_MODEL, *(() if "task" in typed else _OF_THE_TASK)):
        if key not in typed:
            _take_over(config, saved, key, [t for t in typed if t.startswith(f"{key}.")])
    return config, arms


def _take_over(config: DictConfig, saved: DictConfig, key: str, typed: Sequence[str]) -> None:
    """The saved value of a key, with what was typed inside it."""
    given = {inner: OmegaConf.select(config, inner) for inner in typed}
    with open_dict(config):
        config[key] = saved[key]
        for inner, value in given.items():
            OmegaConf.update(config, inner, value)


def _resolve(node: DictConfig | ListConfig) -> None:
    for key in list(node) if isinstance(node, DictConfig) else range(len(node)):
        if OmegaConf.is_missing(node, key):
            continue
        if OmegaConf.is_interpolation(node, key):
            value = node[key]
            if not isinstance(value, DictConfig):
                node[key] = value
        elif isinstance(node[key], DictConfig | ListConfig):
            _resolve(node[key])


def _targets(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "_target_")
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _targets(child)


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]
