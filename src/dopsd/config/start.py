"""Where a command starts from: the weights of a run (`init`), or an adapter in files (`adapter`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from omegaconf import DictConfig, OmegaConf, open_dict

from dopsd.config.allowed import shown
from dopsd.config.build import typed_key
from dopsd.config.errors import UserError
from dopsd.config.paths import literal
from dopsd.config.saved import WEIGHTS, key_of, read_saved
from dopsd.config.trust import trusted_nodes
from dopsd.config.weights import weights_at

_OF_THE_ADAPTER = {
    "lora": "targets",
    "lora.targets": "targets",
    "lora.r": "r",
    "lora.alpha": "alpha",
    "lora_targets": "targets",
    "lora_r": "r",
    "lora_alpha": "alpha",
}
"""Keys that an adapter answers, and what it calls them."""
_OF_THE_STRUCTURE = ("visible", "block_length", "reading")


def from_a_run(config: DictConfig, overrides: Sequence[str]) -> tuple[DictConfig, dict[str, str]]:
    """The config of a run that starts from another run's weights: its model, and its adapter or all its weights.

    Also the arms that come from there. Raises UserError for what was typed beside it and says otherwise.
    """
    if config.init is None:
        return config, {}
    init, typed = config.init, list(map(key_of, overrides))
    run, directory = _run_and_weights(init)
    saved = read_saved(run, "init")
    arms = {group: saved.command.arms[group] for group in ("model", "lora")}
    if f"model={arms['model']}" not in overrides and "model" in typed:
        raise UserError(f"model: init={init} has model={arms['model']}, leave it out")
    has_adapter = saved.lora is not None
    for key in ("adapter", *(() if has_adapter else ("model.path", "model.init"))):
        if key in typed:
            raise UserError(
                f"{key}={shown(OmegaConf.select(config, key))}: init={init} has weights of its own"
            )
    arms = {group: arm for group, arm in arms.items() if group not in typed}
    started = compose("train", [*(f"{group}={arm}" for group, arm in arms.items()), *overrides])
    given = {key: OmegaConf.select(started, key) for key in typed if key.startswith("model.")}
    given |= _structure(started, saved, f"init={init}")
    with open_dict(started):
        started.model = trusted_nodes(saved, ["model"], trust=config.trust, subject=f"init={init}")["model"]
        for key, value in given.items():
            OmegaConf.update(started, key, value)
        if has_adapter:
            started.adapter = literal(str(directory))
        else:
            started.model.path, started.model.init = literal(str(directory)), "pretrained"
    return started, arms


def with_adapter(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The config, changed: r, alpha and targets are those of the adapter, if there is one.

    Raises UserError where it cannot be used, or what was typed says otherwise.
    """
    if config.adapter is None:
        return config
    found = _settings_of(config)
    typed = [key for key in map(key_of, overrides) if key in _OF_THE_ADAPTER]
    if config.lora is None:
        raise UserError(f"lora=none: adapter={config.adapter} is one (lora=default)")
    for key in typed:
        own, given = found[_OF_THE_ADAPTER[key]], OmegaConf.select(config, key)
        given = given.targets if key == "lora" else given
        if (sorted(given) if OmegaConf.is_list(given) else given) != own:
            raise UserError(f"{key}={shown(given)}: adapter={config.adapter} has {shown(own)}, leave it out")
    with open_dict(config):
        config.lora_r, config.lora_alpha = found["r"], found["alpha"]
        OmegaConf.update(config, "lora", found)
    return config


def _structure(started: DictConfig, saved: DictConfig, subject: str) -> dict[str, Any]:
    """Who sees whom in the network: as this run has it, else as the other had it; all weights say it themselves.

    Raises UserError where a run would change what is autoregressive no more.
    """
    wanted, had = started.model.get("visible"), saved.model.get("visible")
    if wanted is None and saved.lora is not None:
        return {}
    if wanted is not None and had not in (None, "causal"):
        key = typed_key(started, "model.visible")
        raise UserError(f"{key}={wanted}: needs autoregressive weights, {subject} has visible={had}")
    unresolved = OmegaConf.to_container(started.model, resolve=False)
    assert isinstance(unresolved, dict)
    return {f"model.{key}": unresolved[key] for key in _OF_THE_STRUCTURE if key in unresolved}


def _run_and_weights(init: object) -> tuple[Path, Path]:
    found = weights_at(init, "best", key="init")
    if len(found) != 1 or found[0].run is None:
        raise UserError(f"init={init}: must be one run's directory, or its {WEIGHTS}/final")
    run = found[0].run.absolute()
    directory = run / WEIGHTS / found[0].which
    if not directory.is_dir():
        raise UserError(f"init={init}: the run has no {found[0].which} weights yet")
    return run, directory


def _settings_of(config: DictConfig) -> dict[str, Any]:
    """What the adapter's files say, under the names of add_lora."""
    from dopsd.model.adapter import AdapterFiles  # noqa: PLC0415  (slow to import)
    from dopsd.model.checkpoint import CheckpointError, local_linear_shapes  # noqa: PLC0415

    try:
        files = AdapterFiles.read(config.adapter)
    except CheckpointError as error:
        raise UserError(f"adapter={config.adapter}: {error}") from error
    try:
        linear = local_linear_shapes(config.model.path)
    except CheckpointError as error:
        raise UserError(f"model.path={config.model.path}: {error}") from error
    return {"r": files.r, "alpha": files.alpha, "targets": sorted(files.targets(linear))}
