"""A small network of the real architecture: the only one that has a cache."""

import pytest
import torch
from fakes import EOS, EOT, MASK, VOCABULARY

from dopsd.model import LLaDAConfig, MaskedDiffusionLM


@pytest.fixture(scope="session")
def network() -> MaskedDiffusionLM:
    shape = {"d_model": 32, "n_heads": 4, "n_layers": 2, "mlp_hidden_size": 48, "max_sequence_length": 64}
    ids = {"vocab_size": VOCABULARY, "mask_token_id": MASK, "eos_token_id": EOS, "eot_token_id": EOT}
    torch.manual_seed(1)
    model = MaskedDiffusionLM(LLaDAConfig(**shape, **ids, rope_theta=10000.0)).eval()
    model.lm_head.weight.data *= 4
    return model
