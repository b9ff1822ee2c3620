"""A row for [MASK] in a network that has none to spare."""

import logging

import torch
from torch import Tensor, nn

from dopsd.model.architecture import MaskedDiffusionLM
from dopsd.model.configuration import LLaDAConfig

log = logging.getLogger(__name__)


def tokens_of(config: LLaDAConfig) -> dict[str, int | None]:
    """How many tokens there are once the weights are loaded, and which of them are special."""
    mask, added = config.mask_token_id, config.mask_token_id is None
    return {
        "vocab_size": config.vocab_size + added,
        "mask_token_id": config.vocab_size if added else mask,
        "eos_token_id": config.eos_token_id,
    }


@torch.no_grad()
def add_mask_row(model: MaskedDiffusionLM) -> None:
    """Gives [MASK] one more row of embedding and head, the mean of the others, unless the config has an id for it."""
    config = model.config
    if config.mask_token_id is not None:
        return
    config.mask_token_id = config.vocab_size
    config.vocab_size = config.embedding_size = config.vocab_size + 1
    embedding, head = model.model.embed_tokens, model.lm_head
    is_tied = head.weight is embedding.weight
    embedding.weight = _one_more(embedding.weight)
    head.weight = embedding.weight if is_tied else _one_more(head.weight)
    embedding.num_embeddings = head.out_features = config.vocab_size
    log.warning("no row of the embedding is spare: row %d is new, for [MASK]", config.mask_token_id)


def _one_more(weight: Tensor) -> nn.Parameter:
    mean = weight.float().mean(dim=0, keepdim=True).to(weight.dtype)
    return nn.Parameter(torch.cat([weight, mean]))
