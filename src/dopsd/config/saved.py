"""The config that a run leaves behind, and what may be changed when it is taken up again."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dopsd.config.errors import UserError

CONFIG = "config.yaml"
_FREE_ON_RESUME = {"resume", "max_steps"}
_TRUSTED = ("dopsd.", "lightning.", "torch.optim.")


def resolved(config: DictConfig) -> DictConfig:
    """A copy in which every number is written out; a node that is only passed on (`${teacher}`) stays a reference."""
    copy = OmegaConf.create(OmegaConf.to_container(config, resolve=False))
    assert isinstance(copy, DictConfig)
    _resolve(copy)
    return copy


def read_saved(directory: Path, key: str) -> DictConfig:
    """The config of a run; raises UserError where there is none, or where it names code that is not ours."""
    file = directory / CONFIG
    if not file.is_file():
        raise UserError(f"{key}={directory}: must be a run's directory (there is no {CONFIG} in it)")
    try:
        config = OmegaConf.load(file)
    except (OSError, ValueError, OmegaConfBaseException) as error:
        raise UserError(f"{key}={directory}: {CONFIG} cannot be read ({error})") from error
    if not isinstance(config, DictConfig):
        raise UserError(f"{key}={directory}: {CONFIG} is not a run's config")
    for target in _targets(OmegaConf.to_container(config, resolve=False)):
        if not str(target).startswith(_TRUSTED):
            raise UserError(f"{key}={directory}: {CONFIG} names {target}, which is not part of dopsd")
    return config


def resumed(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The config of the run to go on with, or the config itself; raises UserError for what cannot be changed."""
    if config.resume is None:
        return config
    for override in overrides:
        if override.lstrip("+~").partition("=")[0] not in _FREE_ON_RESUME:
            raise UserError(f"{override}: a resumed run keeps its settings, only max_steps can be given")
    directory = Path(config.resume)
    saved = read_saved(directory, "resume")
    if not (directory / "resume.ckpt").is_file():
        raise UserError(f"resume={directory}: the run has not reached its first resume.ckpt, start it anew")
    if any(override.startswith("max_steps=") for override in overrides):
        saved.max_steps = saved.method.max_steps = config.max_steps
    saved.resume = str(directory)
    return saved


def _resolve(node: DictConfig | ListConfig) -> None:
    for key in list(node) if isinstance(node, DictConfig) else range(len(node)):
        child = node._get_node(key)  # pyright: ignore
        if OmegaConf.is_interpolation(node, key):
            value = node[key]
            if not isinstance(value, DictConfig):
                node[key] = value
        elif isinstance(child, DictConfig | ListConfig) and not child._is_none():
            _resolve(child)


def _targets(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "_target_")
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _targets(child)
