"""Decoding from a partly filled canvas: the given tokens stay, or are looked ahead at until their block is entered."""

import torch
from fakes import EOS, MASK, SPECIAL, VOCABULARY, TinyNetwork
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_decode import decode
from test_sampler import PROMPTS, assert_same, networks, sample, samplers

from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.sampler import BlockSampler
from dopsd.diffusion.trajectory import Trajectory


def canvases(sampler: BlockSampler, seed: int, share: float) -> torch.Tensor:
    """Random tokens, end tokens among them, at about a share of the positions."""
    random = torch.Generator().manual_seed(seed)
    tokens = torch.randint(VOCABULARY - 1, (len(PROMPTS), sampler.gen_length), generator=random)
    tokens = tokens + (tokens >= MASK)
    return tokens.where(torch.rand(tokens.shape, generator=random) < share, MASK)


def from_canvas(
    sampler: BlockSampler, network: TinyNetwork, canvas: torch.Tensor, *, keep_given: bool
) -> Trajectory:
    keys = example_keys(0, [sum(prompt) for prompt in PROMPTS])
    prompts = Prompts.pad(PROMPTS, EOS)
    return sampler.sample(network, prompts, keys, SPECIAL, given=canvas, keep_given=keep_given)


@given(samplers(), networks, st.integers(0, 99), st.sampled_from([0.1, 0.5, 0.9]), st.booleans())
@settings(max_examples=60)
def test_each_row_equals_a_plain_loop_from_the_same_canvas(sampler, network, seed, share, keep_given):
    canvas = canvases(sampler, seed, share)
    trajectory = from_canvas(sampler, network, canvas, keep_given=keep_given)
    for row, prompt in enumerate(PROMPTS):
        expected = decode(
            network,
            prompt,
            sampler,
            seed=0,
            example=sum(prompt),
            given=canvas[row].tolist(),
            keep_given=keep_given,
        )
        if sampler.early_exit:
            expected = expected.until_its_end()
        assert trajectory.tokens[row].tolist() == expected.tokens
        assert trajectory.step_map[row].tolist() == expected.step_map
        assert int(trajectory.steps[row]) == expected.steps


@given(samplers(), networks, st.integers(0, 99), st.sampled_from([0.1, 0.5, 0.9, 1.0]))
def test_given_tokens_that_are_kept_are_never_changed(sampler, network, seed, share):
    canvas = canvases(sampler, seed, share)
    tokens = from_canvas(sampler, network, canvas, keep_given=True).tokens
    assert torch.equal(tokens.where(canvas != MASK, MASK), canvas)


@given(samplers(), networks, st.booleans())
def test_an_empty_canvas_is_plain_decoding(sampler, network, keep_given):
    canvas = canvases(sampler, 0, 0.0)
    assert_same(from_canvas(sampler, network, canvas, keep_given=keep_given), sample(sampler, network))


@given(samplers(), networks)
def test_a_full_canvas_that_is_kept_comes_back(sampler, network):
    canvas = canvases(sampler, 0, 1.0)
    assert torch.equal(from_canvas(sampler, network, canvas, keep_given=True).tokens, canvas)


@given(samplers(early_exit=False), networks, st.integers(0, 99))
def test_what_is_looked_ahead_at_in_the_first_block_has_no_part(sampler, network, seed):
    """It is cleared before the first forward."""
    canvas = canvases(sampler, seed, 0.5)
    cleared = canvas.clone()
    cleared[:, : sampler.block_length] = MASK
    assert_same(
        from_canvas(sampler, network, canvas, keep_given=False),
        from_canvas(sampler, network, cleared, keep_given=False),
    )
