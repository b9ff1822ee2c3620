"""What can be known of LoRA's dropout before anything is loaded: that the method has no use for it."""

from omegaconf import DictConfig

from dopsd.config.build import Recipe, typed_key
from dopsd.config.errors import UserError
from dopsd.config.saved import typed_keys


def check_dropout(method: Recipe, lora: Recipe | None, config: DictConfig, *, arm: str) -> None:
    """Raises UserError where it makes a count wrong, or was typed and drops nothing (of a preset it is just idle)."""
    dropout = 0 if lora is None else lora.arguments["dropout"]
    if not dropout:
        return
    typed = f"{typed_key(config, 'lora.dropout')}={dropout:g}"
    if weight := method.arguments.get("entropy_weight"):
        raise UserError(
            f"{typed}: must be 0 with entropy_weight={weight:g}, whose right tokens are counted without dropout"
        )
    rollout, keys = method.arguments.get("rollout"), {"lora_dropout", "lora.dropout"}
    drops = method.target.learns_with_dropout or (rollout is not None and rollout.dropout)
    if not drops and keys & typed_keys(config):
        raise UserError(f"{typed}: method={arm} does not read it, its likelihoods are taken without dropout")
