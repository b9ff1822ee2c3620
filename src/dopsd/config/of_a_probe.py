"""The config of a probe: with a checkpoint, what was not typed is as it was in that run."""

from pathlib import Path

from hydra.conf import HydraConf
from omegaconf import DictConfig

from dopsd.config.of_the_run import OF_THE_DECODING, OF_THE_MODEL, OF_THE_TASK, as_in_the_run, refuse_unread
from dopsd.config.saved import chosen_arms, remembered_overrides, with_command
from dopsd.config.start import with_adapter

_OF_ANY_PROBE = (
    "probe checkpoint adapter weights split temperature seed evaluation_sampler name eval_limit eval_batch_size "
    "rollout threshold cache parity trainer logger paths debug"
)
_ALSO_READ_BY = {
    "toy_verification": ("max_attempts",),
    "overlap": ("max_attempts", "rho", "topk", "objective", "learning"),
    "drift": (),
}


def probed(config: DictConfig, hydra: HydraConf | DictConfig) -> DictConfig:
    """What a command really asks for; raises UserError for what its probe does not read."""
    overrides, arms = remembered_overrides(hydra), chosen_arms(hydra)
    probe = arms["probe"]
    refuse_unread(overrides, read_by_probe(probe), f"probe={probe}")
    run = None if config.checkpoint is None else Path(config.checkpoint)
    of_the_run, arms_of_the_run = as_in_the_run("probe", run, overrides, trust=config.trust)
    return with_adapter(with_command(of_the_run, arms | arms_of_the_run, overrides), overrides)


def read_by_probe(probe: str) -> tuple[str, ...]:
    """The keys of the top level that a probe reads."""
    return (
        *OF_THE_MODEL,
        *OF_THE_TASK,
        *OF_THE_DECODING,
        *_OF_ANY_PROBE.split(),
        *_ALSO_READ_BY.get(probe, ()),
    )
