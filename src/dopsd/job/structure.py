"""What can be known before anything is loaded of who sees whom in the network: that method and samplers fit it."""

from omegaconf import DictConfig

from dopsd.config.build import Recipe, typed_key
from dopsd.config.errors import UserError
from dopsd.diffusion.sampler import BlockSampler
from dopsd.model.configuration import LLaDAConfig


def check_structure(
    network: LLaDAConfig, method: Recipe, evaluation_sampler: BlockSampler, config: DictConfig
) -> None:
    """Raises UserError where the method cannot train such a network, or it would be sampled from in other blocks."""
    samplers = {"evaluation_sampler": evaluation_sampler}
    if "checkpoint" not in config:  # a training
        allowed = method.target.structures
        if network.visible not in allowed:
            raise UserError(
                f"visible={network.visible}: method={config.command.arms.method} trains "
                f"visible={' or '.join(allowed)} (model.path={config.model.path})"
            )
        if "rollout" in method.arguments and method.arguments["rollout"] is not None:
            samplers["rollout.sampler"] = method.arguments["rollout"].sampler
    blocks = 1 if network.visible == "causal" else network.block_length
    for key, sampler in samplers.items():
        if blocks not in (None, sampler.block_length):
            typed = typed_key(config, f"{key}.block_length")
            raise UserError(
                f"{typed}={sampler.block_length}: must be {blocks}, as the network has visible={network.visible}"
            )
