"""The config of a probe: with a checkpoint, what was not typed is as it was in that run."""

from pathlib import Path

from hydra.conf import HydraConf
from omegaconf import DictConfig

from dopsd.config.of_the_run import OF_THE_MODEL, OF_THE_TASK, as_in_the_run, refuse_unread
from dopsd.config.saved import chosen_arms, typed_overrides, with_command
from dopsd.config.start import with_adapter

_OF_ANY_PROBE = (
    "probe checkpoint adapter weights split temperature seed evaluation_sampler name eval_limit eval_batch_size "
    "rollout parity trainer paths debug"
)
_ALSO_READ_BY = {
    "toy_verification": ("max_attempts",),
    "overlap": ("max_attempts", "rho", "topk", "objective", "learning"),
    "drift": (),
}


def probed(config: DictConfig, hydra: HydraConf | DictConfig) -> DictConfig:
    """What a command really asks for; raises UserError for what its probe does not read."""
    overrides, arms = typed_overrides(hydra), chosen_arms(hydra)
    probe = arms["probe"]
    read = (*OF_THE_MODEL, *OF_THE_TASK, *_OF_ANY_PROBE.split(), *_ALSO_READ_BY[probe])
    refuse_unread(overrides, read, f"probe={probe}")
    run = None if config.checkpoint is None else Path(config.checkpoint)
    of_the_run, arms_of_the_run = as_in_the_run("probe", run, overrides)
    return with_adapter(with_command(of_the_run, arms | arms_of_the_run, overrides), overrides)
