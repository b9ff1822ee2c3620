"""Decoding of block-causal networks: the same with finished blocks kept as with everything computed at every step."""

from typing import Any

import pytest
import torch
from fakes import EOS, EOT, MASK, SPECIAL, VOCABULARY
from torch import Tensor

from dopsd.diffusion.block_cache import check_blocks
from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.sampler import BlockSampler
from dopsd.diffusion.trajectory import Trajectory
from dopsd.model import LLaDAConfig, MaskedDiffusionLM
from dopsd.model.visible import TwoStream

PROMPTS = [[4, 5, 6], [7, 8], [9, 10, 11, 12, 13], [14], [5, 9]]
LENGTH = 12


def network_of(**structure: Any) -> MaskedDiffusionLM:
    shape = {"d_model": 32, "n_heads": 4, "n_kv_heads": 2, "n_layers": 2, "mlp_hidden_size": 48}
    ids = {"vocab_size": VOCABULARY, "mask_token_id": MASK, "eos_token_id": EOS, "eot_token_id": EOT}
    torch.manual_seed(1)
    model = MaskedDiffusionLM(LLaDAConfig(**shape, **ids, **structure, max_sequence_length=64)).eval()
    model.lm_head.weight.data *= 4
    return model.double()


def blocks_of(length: int, **structure: Any) -> MaskedDiffusionLM:
    return network_of(visible="block_causal", block_length=length, **structure)


def sample(
    network: Any, length: int, rows: range = range(5), given: Any = None, **options: Any
) -> Trajectory:
    limits = {"at_once": options.pop("at_once", None), "given": given}
    options = {"denoising_steps": LENGTH, "temperature": 1.0, **options}
    sampler = BlockSampler(gen_length=LENGTH, block_length=length, **options)
    prompts = Prompts.pad([PROMPTS[row] for row in rows], EOS)
    return sampler.sample(network, prompts, example_keys(0, list(rows)), SPECIAL, **limits)


def assert_equal_with_and_without(network: Any, length: int, **options: Any) -> Trajectory:
    kept, computed = (sample(network, length, cache=cache, **options) for cache in ("exact", None))
    assert torch.equal(kept.tokens, computed.tokens)
    assert torch.equal(kept.step_map, computed.step_map)
    assert torch.equal(kept.steps, computed.steps)
    return kept


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.0},
        {"temperature": 0.0, "early_exit": False, "end_of_text": "last"},
        {"temperature": 1.0, "early_exit": False, "remasking": "random"},
        {"temperature": 3.0, "threshold": 0.5},
        {"temperature": 3.0, "threshold": 0.3, "at_once": 2},
        {"temperature": 1.0, "denoising_steps": 6, "at_once": 3},
    ],
    ids=lambda options: ",".join(f"{key}={value}" for key, value in options.items()),
)
@pytest.mark.parametrize(("length", "reading"), [(2, "own"), (4, "next"), (12, "own")])
def test_the_same_tokens_at_the_same_steps(length, options, reading):
    assert_equal_with_and_without(blocks_of(length, reading=reading), length, **options)


@pytest.mark.parametrize("structure", [{"visible": "causal"}, {"visible": "block_causal", "block_length": 2}])
def test_the_samplers_blocks_may_hold_several_of_the_networks(structure):
    assert_equal_with_and_without(network_of(**structure), 4, threshold=0.5, temperature=2.0)


def test_rows_at_different_blocks_do_not_matter_to_each_other():
    network, options = blocks_of(4), {"threshold": 0.4, "temperature": 3.0}
    together = assert_equal_with_and_without(network, 4, at_once=3, **options)
    assert len(set(together.steps.tolist())) > 1
    for row in range(len(PROMPTS)):
        alone = sample(network, 4, range(row, row + 1), cache="exact", **options)
        assert torch.equal(together.tokens[row : row + 1], alone.tokens)


def test_blocks_that_are_given_are_seen():
    """Some rows start behind a given block, and some jump over one."""
    given = torch.full((5, LENGTH), MASK)
    given[0, :4], given[1, 4:8], given[2, 2:9], given[3, 6] = 7, 8, 9, 10
    options = {"given": given, "threshold": 0.5, "early_exit": False}
    assert_equal_with_and_without(blocks_of(4), 4, **options)
    assert_equal_with_and_without(blocks_of(2), 2, **options, at_once=2)


class Spy:
    """Remembers how many columns were computed, and the logits."""

    def __init__(self, network: MaskedDiffusionLM):
        self.network = network
        self.columns: list[int] = []
        self.logits: list[Tensor] = []

    def __call__(self, canvas: Tensor, attention_mask: Any, *, at: Tensor, **asked: Any) -> Any:
        self.columns.append((canvas if asked.get("active") is None else asked["active"]).shape[1])
        hidden = self.network(canvas, attention_mask, at=at, **asked)
        self.logits.append(hidden.logits())
        return hidden


def test_only_the_block_is_computed_and_the_finished_one_once_more():
    spy = Spy(blocks_of(4))
    sample(spy, 4, early_exit=False, denoising_steps=6, cache="exact")
    prompt = max(map(len, PROMPTS))
    assert spy.columns == [prompt + 4, 4, 4 + 4, 4, 4 + 4, 4]


@torch.no_grad()
@pytest.mark.parametrize("reading", ["own", "next"])
def test_the_logits_are_those_of_the_two_stream_row_at_the_visited_state(reading):
    spy = Spy(blocks_of(4, reading=reading))
    done = sample(spy, 4, range(2, 3), early_exit=False, cache="exact")
    prompt = torch.tensor([PROMPTS[2]])
    for step, logits in enumerate(spy.logits):
        state = done.canvas_at(torch.tensor([step]), MASK)
        row = torch.cat([prompt, done.tokens, state], 1)
        start = prompt.shape[1] + LENGTH + 4 * (step // 4)
        at = torch.arange(start, start + 4)[None]
        found = spy.network(row, None, at, visible=TwoStream(4, LENGTH)).logits()
        torch.testing.assert_close(found, logits, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (("exact", 4, None), "cache=exact: needs a block-causal network"),
        (("dual", 4, 4), "cache=dual: this network is block-causal, use exact or null"),
        (("prefix", 4, 1), "cache=prefix: this network is block-causal, use exact or null"),
        ((None, 6, 4), "block_length=6: must be a multiple of 4, the length of this network's blocks"),
        (("exact", 2, 4), "block_length=2: must be a multiple of 4"),
    ],
)
def test_what_does_not_fit_the_network_is_refused_in_one_line(given, named):
    cache, block_length, of_network = given
    with pytest.raises(ValueError, match=named) as caught:
        check_blocks(cache, block_length, of_network=of_network)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "given", [("exact", 4, 4), ("exact", 8, 4), ("exact", 4, 1), (None, 4, 4), ("dual", 4, None)]
)
def test_what_fits_is_not(given):
    cache, block_length, of_network = given
    check_blocks(cache, block_length, of_network=of_network)
