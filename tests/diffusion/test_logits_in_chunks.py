"""However many rows and positions are sampled: no more logits at once than a chunk holds, and the same tokens."""

from dataclasses import replace

import pytest
import torch
from fakes import EOS, SPECIAL, VOCABULARY

from dopsd.diffusion import hidden
from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.sampler import BlockSampler
from dopsd.diffusion.trajectory import Trajectory

PROMPTS = Prompts.pad([[4, 5, 6], [7, 8], [9, 10, 11, 12, 13], [14], [5, 9]], EOS)
GEOMETRY = {"gen_length": 12, "block_length": 6, "denoising_steps": 8, "temperature": 1.0}
WAYS = [
    {},
    {"threshold": 0.5},
    {"noise_dtype": "bfloat16"},
    {"cfg_scale": 1.5},
    {"cache": "prefix"},
    {"cache": "dual", "threshold": 0.5},
]


class RecordedHead:
    """Remembers how many logits each call gave."""

    def __init__(self, head, logits: list[int]):
        self.head, self.out_features, self.logits = head, head.out_features, logits

    def __call__(self, hidden):
        logits = self.head(hidden)
        self.logits.append(logits.numel())
        return logits


def sample(network, options: dict) -> Trajectory:
    keys = example_keys(0, range(len(PROMPTS)))
    return BlockSampler(**GEOMETRY | options).sample(network, PROMPTS, keys, SPECIAL)


@pytest.mark.parametrize("options", WAYS)
@pytest.mark.parametrize("positions", [1, 4])
def test_no_logits_larger_than_a_chunk_ever_exist(network, monkeypatch, options, positions):
    whole = sample(network, options)
    monkeypatch.setattr(hidden, "LOGITS", positions * 2 * VOCABULARY)
    logits = []

    def recorded(*args, **kwargs):
        found = network(*args, **kwargs)
        return replace(found, head=RecordedHead(found.head, logits))

    chunked = sample(recorded, options)
    at_once = 2 if "cfg_scale" in options else 1  # with and without the prompt
    assert max(logits) * at_once == hidden.LOGITS
    assert torch.equal(chunked.tokens, whole.tokens)
    assert torch.equal(chunked.step_map, whole.step_map)
