"""What can be known of a run before anything is loaded: that method and samplers fit who sees whom."""

from omegaconf import DictConfig

from dopsd.config.build import Recipe, typed_key
from dopsd.config.errors import UserError
from dopsd.config.saved import typed_keys
from dopsd.diffusion.sampler import BlockSampler
from dopsd.model.configuration import LLaDAConfig


def check_trainable(network: LLaDAConfig, method: Recipe, *, arm: str, path: str) -> None:
    """Raises UserError where the method, by its arm's name, cannot train such a network."""
    allowed = method.target.structures
    if network.visible not in allowed:
        raise UserError(
            f"visible={network.visible}: method={arm} trains visible={' or '.join(allowed)} (model.path={path})"
        )


def check_form(network: LLaDAConfig, method: Recipe) -> None:
    """Raises UserError where a form of masks was typed for a network that learns without any."""
    if network.visible == "causal" and {"form", "method.form"} & typed_keys(method.config):
        typed = typed_key(method.config, "method.form")
        form = method.arguments["form"]
        raise UserError(f"{typed}={form}: visible=causal does not read it, nothing is masked there")


def check_own_blocks(
    network: LLaDAConfig, method: Recipe, evaluation_sampler: BlockSampler, config: DictConfig
) -> None:
    """Raises UserError where the network would be sampled from in other blocks than it is trained in.

    An autoregressive one writes token after token: a masked token behind another would be read of [MASK].
    """
    rollout, blocks = method.arguments.get("rollout"), network.structure.own_blocks
    for key, sampler in {
        "evaluation_sampler": evaluation_sampler,
        "rollout.sampler": None if rollout is None else rollout.sampler,
    }.items():
        if sampler is not None and blocks not in (None, sampler.block_length):
            typed = typed_key(config, f"{key}.block_length")
            steps = " (and denoising_steps as gen_length)" if blocks == 1 else ""
            raise UserError(
                f"{typed}={sampler.block_length}: must be {blocks}{steps}, as the network has visible={network.visible}"
            )
