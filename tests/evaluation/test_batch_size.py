"""The embedded model writes the same tokens whatever the batch, in every way of decoding."""

import pytest
import torch

from dopsd.chat import Chat
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.sampler import BlockSampler
from dopsd.diffusion.special_tokens import SpecialTokens
from dopsd.diffusion.trajectory import Trajectory
from dopsd.evaluation.decode import keys_of
from dopsd.model import MaskedDiffusionLM, load_model, load_tokenizer
from dopsd.task import Countdown

GEOMETRY = {"gen_length": 32, "block_length": 8, "denoising_steps": 16}
WAYS = [
    {},
    {"remasking": "entropy"},
    {"remasking": "margin"},
    {"remasking": "random"},
    {"threshold": 0.9},
    {"temperature": 0.9},
    {"temperature": 0.9, "threshold": 0.9},
]


@pytest.fixture(scope="module")
def network() -> MaskedDiffusionLM:
    return load_model("tiny", dtype="float32")


@pytest.fixture(scope="module")
def chat(network: MaskedDiffusionLM) -> Chat:
    special = SpecialTokens(mask_id=network.mask_id, eos_id=network.eos_id, end_ids=network.end_ids)
    return Chat(tokenizer=load_tokenizer("tiny"), special=special)


def decode(network, chat: Chat, sampler: BlockSampler, batch_size: int, *, at_once: int | None) -> Trajectory:
    examples = Countdown(seed=5, test=20, dev=1, train=1).examples("test")
    encoded = [chat.encode_prompt(example.prompt) for example in examples]
    assert len(set(map(len, encoded))) > 2
    parts = []
    for start in range(0, len(examples), batch_size):
        batch = slice(start, start + batch_size)
        prompts = Prompts.pad(encoded[batch], chat.special.eos_id)
        keys = keys_of(examples[batch], 1, "cpu")
        parts.append(sampler.sample(network, prompts, keys, chat.special, at_once=at_once))
    return Trajectory.joined(parts)


@pytest.mark.parametrize(
    "way", WAYS, ids=lambda way: ",".join(f"{k}={v}" for k, v in way.items()) or "greedy"
)
def test_the_same_tokens_at_batch_1_8_and_20(network, chat, way):
    sampler = BlockSampler(**GEOMETRY, **way)
    alone = decode(network, chat, sampler, 1, at_once=None)
    for batch_size, at_once in ((8, None), (20, 8)):
        together = decode(network, chat, sampler, batch_size, at_once=at_once)
        assert torch.equal(together.tokens, alone.tokens)
        assert torch.equal(together.step_map, alone.step_map)
        assert torch.equal(together.steps, alone.steps)
    assert len(set(alone.steps.tolist())) > 1
