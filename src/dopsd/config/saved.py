"""The config that a run leaves behind, and how a later command takes it up."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from hydra.conf import HydraConf
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from dopsd.config.errors import UserError
from dopsd.config.paths import literal
from dopsd.config.trust import trusted_nodes
from dopsd.config.unread import READ_BY_EVERY_RUN, refuse_unread_by_run

CONFIG = "config.yaml"
RESUME_POINT = "resume.ckpt"
WEIGHTS = "weights"
FREE_ON_RESUME = ("max_steps", "stop_at", "micro_batch_tokens", "eval_batch_size", "eval_batch_tokens")
"""Numbers of a run that may change when it is resumed: its end, and what a device holds at once."""
_NODES = ("model", "task", "method", "trainer", "evaluation_sampler")  # of every run


def planned(config: DictConfig, hydra: HydraConf | DictConfig) -> DictConfig:
    """What a command really asks for, with the arms and overrides that led to it under `command`.

    Raises UserError for what the run does not read, or a resumed run cannot take.
    """
    overrides = remembered_overrides(hydra)
    if config.resume is not None:
        return _resumed(config, overrides)
    from dopsd.config.start import from_a_run, with_adapter  # noqa: PLC0415  (which reads saved configs)

    started, arms_of_the_run = from_a_run(config, overrides)
    arms = chosen_arms(hydra) | arms_of_the_run
    refuse_unread_by_run(started, arms, {key_of(override): override for override in overrides})
    whole = copy.deepcopy(started)
    whole.trust = None
    return with_adapter(with_command(whole, arms, overrides), overrides)


def with_command(config: DictConfig, arms: Mapping[str, str], overrides: Sequence[str]) -> DictConfig:
    """The config, changed: the arms and overrides that led to it stand under `command`."""
    with open_dict(config):
        config.command = {"arms": dict(arms), "overrides": list(overrides)}
    return config


def chosen_arms(hydra: HydraConf | DictConfig) -> dict[str, str]:
    """The arm of every group, but for Hydra's own."""
    return {group: arm for group, arm in hydra.runtime.choices.items() if not group.startswith("hydra")}


def typed_overrides(hydra: HydraConf | DictConfig) -> list[str]:
    """The overrides as they were typed, `${...}` included."""
    return [str(override) for override in OmegaConf.to_container(hydra.overrides.task, resolve=False)]  # pyright: ignore


def remembered_overrides(hydra: HydraConf | DictConfig) -> list[str]:
    """The overrides that are saved and taken up again: whom to trust, and what Hydra does, is typed each time."""
    return [override for override in typed_overrides(hydra) if key_of(override) not in ("trust", "hydra")]


def key_of(override: str) -> str:
    """The key that an override sets."""
    return override.lstrip("+~").partition("=")[0]


def typed_keys(config: DictConfig) -> set[str]:
    """The keys that were typed for a planned config; none where nobody typed a command."""
    return set(map(key_of, OmegaConf.select(config, "command.overrides", default=())))


def written_out(config: DictConfig) -> DictConfig:
    """A copy with every number in its place; only whole nodes that are passed on (`${teacher}`) stay references."""
    whole = OmegaConf.create(OmegaConf.to_container(config, resolve=False))
    assert isinstance(whole, DictConfig)
    _resolve(whole)
    return whole


def read_saved(directory: Path, key: str) -> DictConfig:
    """The config of a run, which may name code that is not ours; raises UserError where there is none."""
    file = directory / CONFIG
    if not file.is_file():
        raise UserError(f"{key}={directory}: must be a run's directory (there is no {CONFIG} in it)")
    try:
        config = OmegaConf.load(file)
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"{key}={directory}: {CONFIG} cannot be read ({error})") from error
    if not isinstance(config, DictConfig) or not _is_of_a_run(config):
        raise UserError(f"{key}={directory}: {CONFIG} is not that of a run")
    return config


def _is_of_a_run(config: DictConfig) -> bool:
    command = OmegaConf.to_container(config, resolve=False).get("command")  # pyright: ignore
    if not isinstance(command, dict) or not command.keys() >= {"arms", "overrides"}:
        return False
    return all(isinstance(config._get_node(key), DictConfig) for key in _NODES)


def _resumed(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The run's own config; only its end, the hardware, and what that holds at once can be changed."""
    for override in overrides:
        if key_of(override).partition(".")[0] not in ("resume", "trainer", *FREE_ON_RESUME):
            free = f"{', '.join(FREE_ON_RESUME)} and trainer"
            raise UserError(f"{override}: a resumed run keeps its settings, only {free} can be given")
    directory = Path(config.resume)
    saved = read_saved(directory, "resume")
    trusted_nodes(saved, list(map(str, saved)), trust=config.trust, subject=f"resume={directory}")
    for key in map(key_of, overrides):
        top = key.partition(".")[0]
        if top in FREE_ON_RESUME:
            if top not in saved.method and top not in READ_BY_EVERY_RUN:
                raise UserError(f"{key}: method={saved.command.arms.method} does not read it")
            value = OmegaConf.select(config, key)
            for node in (saved, saved.method):
                if top in node:
                    OmegaConf.update(node, key, value)
            saved.command.overrides.append(f"{key}={value}")
    _change_hardware(saved, config, overrides)
    saved.resume = literal(str(directory))
    return saved


def _change_hardware(saved: DictConfig, config: DictConfig, overrides: Sequence[str]) -> None:
    typed = [override for override in overrides if key_of(override).partition(".")[0] == "trainer"]
    if any(key_of(override) == "trainer" for override in typed):
        saved.trainer = config.trainer
    for key in map(key_of, typed):
        OmegaConf.update(saved, key, OmegaConf.select(config, key))
    saved.command.overrides.extend(typed)


def _resolve(node: DictConfig | ListConfig) -> None:
    for key in list(node) if isinstance(node, DictConfig) else range(len(node)):
        if OmegaConf.is_missing(node, key):
            continue
        if OmegaConf.is_interpolation(node, key):
            value = node[key]
            if not isinstance(value, DictConfig):
                node[key] = literal(value) if isinstance(value, str) else value
        elif isinstance(node[key], DictConfig | ListConfig):
            _resolve(node[key])
