"""The block sampler against a plain loop over one prompt, and the properties of its trajectories."""

import itertools
import math

import pytest
import torch
from fakes import EOS, EOT, MASK, SPECIAL, VOCABULARY, TinyNetwork, denoiser_of
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_decode import decode
from scipy import stats

from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.sampler import BlockSampler
from dopsd.diffusion.trajectory import NEVER, Trajectory

END_IDS = SPECIAL.end_ids
PROMPTS = [[3], [4, 5], [6], [7, 8, 9, 10, 11], [12, 13, 14]]


@st.composite
def samplers(draw, **fixed) -> BlockSampler:
    """Any geometry, remainders included."""
    blocks, block_length = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    remasking = draw(st.sampled_from(["low_confidence", "entropy", "margin", "random"]))
    thresholds = [None, None, 0.3, 0.8] if remasking in ("low_confidence", "margin") else [None]
    options = {
        "gen_length": blocks * block_length,
        "block_length": block_length,
        "denoising_steps": blocks * draw(st.integers(1, block_length)),
        "temperature": draw(st.sampled_from([0.0, 0.3, 1.5])),
        "remasking": remasking,
        "threshold": draw(st.sampled_from(thresholds)),
        "end_of_text": draw(st.sampled_from(["free", "free", "forbidden", "last"])),
        "cfg_scale": draw(st.sampled_from([0.0, 0.0, 0.0, 1.5])),
        "early_exit": draw(st.booleans()),
    }
    return BlockSampler(**options | fixed)


networks = st.builds(TinyNetwork, st.integers(0, 10_000))


def sample(sampler: BlockSampler, network, prompts=PROMPTS, seed: int = 0) -> Trajectory:
    keys = example_keys(seed, [sum(prompt) for prompt in prompts])
    return sampler.sample(network, Prompts.pad(prompts, EOS), keys, SPECIAL)


def assert_same(a: Trajectory, b: Trajectory) -> None:
    assert torch.equal(a.tokens, b.tokens)
    assert torch.equal(a.step_map, b.step_map)
    assert torch.equal(a.steps, b.steps)


@given(samplers(), networks)
@settings(max_examples=60)
def test_each_row_equals_a_plain_loop_over_its_prompt_alone(sampler, network):
    trajectory = sample(sampler, network)
    for row, prompt in enumerate(PROMPTS):
        expected = decode(network, prompt, sampler, seed=0, example=sum(prompt))
        if sampler.early_exit:
            expected = expected.until_its_end()
        assert trajectory.tokens[row].tolist() == expected.tokens
        assert trajectory.step_map[row].tolist() == expected.step_map
        assert int(trajectory.steps[row]) == expected.steps


@given(samplers(early_exit=False, threshold=None), networks)
def test_every_position_is_unmasked_once_blocks_end_in_order_and_steps_have_their_count(sampler, network):
    trajectory = sample(sampler, network)
    counts = sampler.unmask_counts
    assert sum(counts) == sampler.block_length
    assert len(counts) * sampler.blocks == sampler.denoising_steps
    assert counts == sorted(counts, reverse=True)
    assert max(counts) - min(counts) <= 1
    for steps in trajectory.step_map.tolist():
        for block in range(sampler.blocks):
            in_block = steps[block * sampler.block_length : (block + 1) * sampler.block_length]
            first = block * len(counts)
            assert sorted(in_block) == [first + s for s, count in enumerate(counts) for _ in range(count)]


@given(samplers(), st.integers(1, 9))
def test_a_shorter_canvas_has_blocks_of_as_many_steps(sampler, blocks):
    shorter = sampler.of_length(blocks * sampler.block_length)
    assert (shorter.gen_length, shorter.blocks) == (blocks * sampler.block_length, blocks)
    assert shorter.unmask_counts == sampler.unmask_counts
    assert shorter.of_length(sampler.gen_length) == sampler


@given(samplers(), networks)
def test_mask_is_never_written(sampler, network):
    assert not (sample(sampler, network).tokens == MASK).any()


def test_mask_is_not_written_even_where_the_network_prefers_it():
    @denoiser_of
    def prefers_mask(canvas, attention_mask, at):
        return torch.nn.functional.one_hot(torch.full(at.shape, MASK), VOCABULARY) * 50.0

    for temperature in (0.0, 1.0):
        sampler = BlockSampler(gen_length=8, block_length=4, denoising_steps=4, temperature=temperature)
        assert not (sample(sampler, prefers_mask).tokens == MASK).any()


@given(samplers(), networks, st.integers(1, 4))
def test_rows_that_enter_as_others_leave_are_what_they_are_in_one_batch(sampler, network, at_once):
    keys, done = example_keys(0, [sum(prompt) for prompt in PROMPTS]), []
    in_turn = sampler.sample(
        network, Prompts.pad(PROMPTS, EOS), keys, SPECIAL, at_once=at_once, on_progress=done.append
    )
    assert_same(in_turn, sample(sampler, network))
    assert sum(done) == len(PROMPTS)


@given(samplers(), networks, st.none() | st.integers(1, 5), st.integers(1, 200), st.booleans())
def test_no_forward_has_more_tokens_than_its_budget_and_none_changes_a_row(
    sampler, network, at_once, budget, ascending
):
    shapes = []

    def spied(canvas, *given, **named):
        shapes.append(tuple(canvas.shape))
        return network(canvas, *given, **named)

    order = sorted(range(len(PROMPTS)), key=lambda i: len(PROMPTS[i]) if ascending else i)
    prompts = [PROMPTS[i] for i in order]
    keys = example_keys(0, [sum(prompt) for prompt in prompts])
    limits = {"at_once": at_once, "tokens_at_once": budget}
    limited = sampler.sample(spied, Prompts.pad(prompts, EOS), keys, SPECIAL, **limits)
    assert_same(limited, sample(sampler, network)[torch.tensor(order)])
    one = 2 if sampler.cfg_scale else 1
    assert all(rows * width <= budget or rows == one for rows, width in shapes)
    assert all(rows <= one * (at_once or len(prompts)) for rows, _ in shapes)

    def fits(count: int) -> bool:
        return one * count * (max(map(len, prompts[:count])) + sampler.gen_length) <= budget

    most = [count for count in range(2, (at_once or len(prompts)) + 1) if fits(count)]
    assert shapes[0][0] == one * max(most, default=1)


@given(samplers(early_exit=False, threshold=0.3, remasking="low_confidence"), networks)
def test_with_a_threshold_blocks_end_in_order_and_no_step_is_empty(sampler, network):
    trajectory = sample(sampler, network)
    assert not (trajectory.step_map == NEVER).any()
    for times, steps in zip(trajectory.step_map.tolist(), trajectory.steps.tolist(), strict=True):
        assert set(times) == set(range(steps))
        size = sampler.block_length
        blocks = [times[i : i + size] for i in range(0, len(times), size)]
        assert all(max(a) < min(b) for a, b in itertools.pairwise(blocks))


@given(samplers(end_of_text="forbidden"), networks)
def test_forbidden_end_of_text_is_written_nowhere(sampler, network):
    trajectory = sample(sampler, network)
    assert not (trajectory.tokens == EOS)[trajectory.step_map != NEVER].any()


@given(samplers(), networks, st.permutations(range(len(PROMPTS))), st.integers(1, 5))
def test_a_batch_equals_its_rows_in_any_order_and_any_company(sampler, network, order, size):
    whole = sample(sampler, network)
    picked = order[:size]
    assert_same(sample(sampler, network, [PROMPTS[i] for i in picked]), whole[torch.tensor(picked)])


@given(samplers(), networks)
def test_more_padding_changes_nothing(sampler, network):
    prompts = Prompts.pad(PROMPTS, EOS)
    more = torch.zeros(len(PROMPTS), 3, dtype=torch.int64)
    wider = Prompts(
        tokens=torch.cat([more + 9, prompts.tokens], 1),
        attention_mask=torch.cat([more.bool(), prompts.attention_mask], 1),
    )
    keys = example_keys(0, [sum(prompt) for prompt in PROMPTS])
    assert_same(sampler.sample(network, wider, keys, SPECIAL), sample(sampler, network))


class Recorder:
    """Passes calls on and remembers the canvases the network was shown for each prompt."""

    def __init__(self, network, gen_length: int):
        self.network, self.gen_length = network, gen_length
        self.seen: dict[tuple[int, ...], list[torch.Tensor]] = {}

    def __call__(self, canvas, attention_mask, at):
        mask = torch.ones_like(canvas, dtype=torch.bool) if attention_mask is None else attention_mask
        for tokens, real in zip(canvas, mask, strict=True):
            prompt = tuple(tokens[: -self.gen_length][real[: -self.gen_length]].tolist())
            self.seen.setdefault(prompt, []).append(tokens[-self.gen_length :].clone())
        return self.network(canvas, attention_mask, at)


@given(samplers(cfg_scale=0.0), networks)
def test_the_states_of_a_trajectory_are_the_canvases_the_network_saw(sampler, network):
    recorder = Recorder(network, sampler.gen_length)
    trajectory = sample(sampler, recorder)
    states = trajectory.visited_states(MASK)
    for row, prompt in enumerate(PROMPTS):
        seen = torch.stack(recorder.seen[tuple(prompt)])[: int(trajectory.steps[row])]
        assert torch.equal(states.canvas[states.rollout == row], seen)


@given(samplers(early_exit=True, cfg_scale=0.0), networks)
def test_an_answer_that_is_complete_costs_no_more_forwards(sampler, network):
    recorder = Recorder(network, sampler.gen_length)
    trajectory = sample(sampler, recorder)
    for row, prompt in enumerate(PROMPTS):
        assert len(recorder.seen[tuple(prompt)]) == int(trajectory.steps[row])


@given(samplers(early_exit=True), networks)
def test_early_exit_gives_the_same_answer_as_going_on(sampler, network):
    early = sample(sampler, network)
    options = {name: getattr(sampler, name) for name in sampler.__dataclass_fields__}
    whole = sample(BlockSampler(**options | {"early_exit": False}), network)
    lengths = whole.lengths(END_IDS)
    assert torch.equal(early.lengths(END_IDS), lengths)
    for row, length in enumerate(lengths.tolist()):
        answer = slice(0, length + 1)
        assert torch.equal(early.tokens[row, answer], whole.tokens[row, answer])
        assert torch.equal(early.step_map[row, answer], whole.step_map[row, answer])
    taken = early.step_map != NEVER
    assert torch.equal(early.tokens[taken], whole.tokens[taken])
    assert torch.equal(early.step_map[taken], whole.step_map[taken])
    assert early.tokens[~taken].eq(EOS).all()
    assert torch.equal(taken, whole.step_map < early.steps[:, None])


@given(samplers(early_exit=True), networks)
def test_a_row_ends_with_the_step_that_completes_its_answer(sampler, network):
    trajectory = sample(sampler, network)
    for row, steps in enumerate(trajectory.steps.tolist()):
        length = int(trajectory.lengths(END_IDS)[row])
        times = trajectory.step_map[row].tolist()
        if not (trajectory.step_map[row] != NEVER).all():
            assert length < sampler.gen_length
            assert max(times[: length + 1]) == steps - 1
        else:
            assert length == sampler.gen_length or max(times[: length + 1]) == steps - 1


def test_a_network_that_never_ends_fills_the_canvas():
    @denoiser_of
    def endless(canvas, attention_mask, at):
        return torch.zeros(*at.shape, VOCABULARY).index_fill(-1, torch.tensor([EOS, EOT]), -50.0)

    sampler = BlockSampler(gen_length=6, block_length=3, denoising_steps=4)
    trajectory = sample(sampler, endless)
    assert trajectory.steps.eq(4).all()
    assert trajectory.lengths(END_IDS).eq(6).all()
    assert not (trajectory.step_map == NEVER).any()


MANY = 8000


def one_position(logits: torch.Tensor, **options) -> torch.Tensor:
    """The tokens that many rows sample from the same logits."""
    sampler = BlockSampler(gen_length=1, block_length=1, denoising_steps=1, **options)
    prompts = Prompts(tokens=torch.full((MANY, 1), 3), attention_mask=torch.ones(MANY, 1, dtype=torch.bool))
    keys = example_keys(7, range(MANY))

    @denoiser_of
    def network(canvas, attention_mask, at):
        return logits.expand(MANY, 1, -1)

    return sampler.sample(network, prompts, keys, SPECIAL).tokens[:, 0]


@pytest.mark.parametrize("temperature", [0.2, 0.9, 1.0, 3.0])
def test_samples_follow_the_softmax_at_the_temperature(temperature):
    logits = torch.tensor([0.5, -1.0, 3.0, 0.0, 1.0, 0.25, -0.5])
    tokens = one_position(logits, temperature=temperature, early_exit=False)
    logits[MASK] = -torch.inf
    expected = (logits.double() / temperature).softmax(-1) * MANY
    kept = torch.arange(7) != MASK
    observed = tokens.bincount(minlength=7)
    assert observed[MASK] == 0
    result = stats.chisquare(observed[kept].numpy(), expected[kept].numpy())
    assert result.pvalue > 1e-3


def released_samples(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """As many as `one_position`, drawn as the released code does, with torch's own numbers."""
    random = torch.Generator().manual_seed(0)
    u = torch.rand(MANY, len(logits), generator=random, dtype=torch.float64).bfloat16()
    u[u == 1] = 0
    return (logits.bfloat16().double().exp() / (-u.double().log()) ** temperature).argmax(-1)


@pytest.mark.parametrize("temperature", [0.2, 0.9, 3.0])
def test_bfloat16_noise_draws_what_the_released_code_draws(temperature):
    logits = torch.tensor([0.5, -1.0, 3.0, 0.0, 1.0, 0.25, -0.5]).repeat(
        4
    )  # end of text and [MASK] among them
    forbidden = logits.clone()
    forbidden[MASK] = -torch.inf
    tokens = one_position(logits, temperature=temperature, noise_dtype="bfloat16", early_exit=False)
    found, expected = (
        each.bincount(minlength=28).double() / MANY
        for each in (tokens, released_samples(forbidden, temperature))
    )
    assert found[MASK] == 0
    assert (
        0.5 * float((found - expected).abs().sum()) < 0.04
    )  # two samples of so many differ by 0.025 or less


def test_bfloat16_noise_never_draws_what_is_much_less_likely_and_float64_does():
    tail = torch.full((400,), -8.0)  # an eighth of the mass
    tail[5] = 0.0
    drawn = {
        kind: one_position(tail, temperature=1.0, noise_dtype=kind, early_exit=False)
        for kind in ("float64", "bfloat16")
    }
    assert float((drawn["bfloat16"] == 5).double().mean()) == pytest.approx(511 / 512, abs=0.002)
    assert float((drawn["float64"] == 5).double().mean()) == pytest.approx(
        1 / (1 + 399 * math.exp(-8)), abs=0.02
    )


def test_a_token_is_drawn_where_bfloat16_noise_leaves_none_but_never_a_forbidden_one():
    alone = torch.full((VOCABULARY,), -1e30)
    alone[4] = 0.0
    assert one_position(alone, temperature=1.0, noise_dtype="bfloat16", early_exit=False).eq(4).all()


def test_random_remasking_orders_positions_uniformly_and_ignores_confidence():
    prompts = Prompts(tokens=torch.full((MANY, 1), 3), attention_mask=torch.ones(MANY, 1, dtype=torch.bool))
    sharp = torch.nn.functional.one_hot(torch.tensor([4, 5, 6]), VOCABULARY) * torch.tensor(
        [[9.0], [3.0], [1.0]]
    )
    sampler = BlockSampler(gen_length=3, block_length=3, denoising_steps=3, remasking="random")
    steps = sampler.sample(
        denoiser_of(lambda canvas, attention_mask, at: sharp.expand(MANY, -1, -1)),
        prompts,
        example_keys(1, range(MANY)),
        SPECIAL,
    ).step_map
    orders = (steps * torch.tensor([9, 3, 1])).sum(-1).unique(return_counts=True)[1]
    assert len(orders) == 6
    assert stats.chisquare(orders.numpy()).pvalue > 1e-3


def test_another_seed_or_attempt_gives_another_sample_and_the_same_one_the_same():
    sampler = BlockSampler(gen_length=12, block_length=4, denoising_steps=6, temperature=1.0)
    network, prompts = TinyNetwork(0), Prompts.pad(PROMPTS, EOS)

    def tokens(seed, attempt):
        return sampler.sample(network, prompts, example_keys(seed, range(5), attempt), SPECIAL).tokens

    assert torch.equal(tokens(0, 0), tokens(0, 0))
    assert not torch.equal(tokens(0, 0), tokens(0, 1))
    assert not torch.equal(tokens(0, 0), tokens(1, 0))


@given(samplers(temperature=0.0, remasking="low_confidence"), networks)
def test_greedy_decoding_uses_no_randomness(sampler, network):
    assert_same(sample(sampler, network, seed=0), sample(sampler, network, seed=1))


def test_sampling_builds_no_graph():
    sampler = BlockSampler(gen_length=4, block_length=2, denoising_steps=2)
    seen = []

    @denoiser_of
    def network(canvas, attention_mask, at):
        seen.append(torch.is_grad_enabled())
        return TinyNetwork(0)(canvas, attention_mask, at).logits()

    sample(sampler, network)
    assert seen
    assert not any(seen)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 24))
def test_lengths_and_steps_that_do_not_divide_are_refused_by_name(gen_length, block_length, steps):
    blocks, rest = divmod(gen_length, block_length)
    fits = rest == 0 and steps % blocks == 0 and steps <= gen_length
    options = {"gen_length": gen_length, "block_length": block_length, "denoising_steps": steps}
    if fits:
        BlockSampler(**options)
    else:
        name = f"gen_length={gen_length}" if rest else f"denoising_steps={steps}"
        with pytest.raises(ValueError, match=name):
            BlockSampler(**options)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gen_length", 0),
        ("block_length", -4),
        ("denoising_steps", 0),
        ("denoising_steps", "many"),
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("remasking", "high_confidence"),
        ("threshold", 0.0),
        ("threshold", 1.1),
        ("end_of_text", "never"),
        ("cfg_scale", -1.0),
        ("cache", "suffix"),
        ("noise_dtype", "float16"),
        ("temprature", 1.0),
    ],
)
def test_bad_options_are_refused_by_name(key, value):
    good = {"gen_length": 8, "block_length": 4, "denoising_steps": 4}
    with pytest.raises(ValueError, match=key):
        BlockSampler(**good | {key: value})


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            {"threshold": 0.9, "remasking": "random"},
            "threshold=0.9: needs remasking=low_confidence or margin",
        ),
        ({"cache": "dual", "cfg_scale": 1.0}, "cache=dual: needs cfg_scale=0, not 1.0"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, line):
    with pytest.raises(ValueError, match=line):
        BlockSampler(gen_length=8, block_length=4, denoising_steps=4, **options)


def test_keys_for_other_rows_are_an_error_not_a_broadcast():
    sampler = BlockSampler(gen_length=4, block_length=2, denoising_steps=2, temperature=1.0)
    for count in (1, len(PROMPTS) + 1):
        with pytest.raises(AssertionError):
            sampler.sample(TinyNetwork(0), Prompts.pad(PROMPTS, EOS), example_keys(0, range(count)), SPECIAL)


def test_a_network_that_ignores_at_is_an_error():
    sampler = BlockSampler(gen_length=4, block_length=2, denoising_steps=2)
    network = TinyNetwork(0)
    with pytest.raises(AssertionError, match="at the columns"):
        sample(
            sampler,
            lambda canvas, attention_mask, at: network(canvas, attention_mask),
        )


def test_few_samples_are_degenerate():
    """The properties above would be hollow if rows always, or never, ended early."""
    sampler = BlockSampler(gen_length=12, block_length=4, denoising_steps=6, temperature=1.0)
    steps = torch.cat([sample(sampler, TinyNetwork(seed)).steps for seed in range(10)])
    assert 0.2 < (steps < 6).float().mean() < 0.9
