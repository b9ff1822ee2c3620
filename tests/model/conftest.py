"""A LLaDA small enough to build in milliseconds, with and without grouped key-value heads."""

import pytest
import torch

from dopsd.model import LLaDAConfig, MaskedDiffusionLM

VOCABULARY = 64


@pytest.fixture
def make_model():
    def build(*, seed: int = 0, **fields) -> MaskedDiffusionLM:
        config = LLaDAConfig(
            **{
                "d_model": 32,
                "n_heads": 4,
                "n_layers": 2,
                "mlp_hidden_size": 48,
                "vocab_size": VOCABULARY,
                "max_sequence_length": 64,
                "rope_theta": 10000.0,
                "mask_token_id": 3,
                "eos_token_id": 1,
                "eot_token_id": 2,
                **fields,
            }
        )
        torch.manual_seed(seed)
        return MaskedDiffusionLM(config).eval()

    return build


@pytest.fixture(params=[4, 2], ids=["heads=kv", "gqa"])
def model(request, make_model) -> MaskedDiffusionLM:
    return make_model(n_kv_heads=request.param)


@pytest.fixture
def canvas() -> torch.Tensor:
    return torch.randint(VOCABULARY, (3, 14), generator=torch.Generator().manual_seed(5))


@pytest.fixture
def left_padding() -> torch.Tensor:
    mask = torch.ones(3, 14, dtype=torch.bool)
    mask[0, :5] = False
    mask[2, :1] = False
    return mask
