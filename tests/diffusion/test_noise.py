"""Counter-based noise: the known generator, the right distributions, nothing that depends on the batch."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dopsd.diffusion.noise import Purpose, coarse_gumbel, derive, example_keys, generator_seed, uniform

LOW_64 = (1 << 64) - 1
MANY = 40_000


def splitmix64(state: int, counter: int) -> int:
    """The generator as published, in plain integers: output `counter` of the stream from `state`."""
    z = (state + (counter + 1) * 0x9E3779B97F4A7C15) & LOW_64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & LOW_64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & LOW_64
    return z ^ (z >> 31)


def unsigned(keys: torch.Tensor) -> list[int]:
    return [int(key) & LOW_64 for key in keys.flatten()]


def streams(example_count: int = MANY, seed: int = 0, attempt: int = 0) -> torch.Tensor:
    return example_keys(seed, range(example_count), attempt)


def test_children_of_a_key_are_the_published_splitmix64_stream():
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert unsigned(derive(torch.tensor([1234567]), torch.arange(4))) == published


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**70), 2**70))
def test_deriving_equals_plain_integer_arithmetic(key, counter):
    assert unsigned(derive(torch.tensor([key]), counter)) == [splitmix64(key & LOW_64, counter & LOW_64)]


@given(st.integers(), st.lists(st.integers(), min_size=1, max_size=5), st.integers(0, 9))
def test_any_seed_and_example_numbers_give_keys_and_equal_ones_equal_keys(seed, examples, attempt):
    keys = example_keys(seed, examples, attempt)
    assert keys.shape == (len(examples),)
    for i, number in enumerate(examples):
        assert torch.equal(keys[i : i + 1], example_keys(seed, [number], attempt))


def test_an_integer_counter_and_a_tensor_of_it_agree():
    keys = streams(5)
    assert torch.equal(derive(keys, 7), derive(keys, torch.full((5,), 7)))
    assert torch.equal(derive(keys[:, None], torch.arange(3))[:, 2], derive(keys, 2))


def test_no_two_streams_meet():
    keys = [example_keys(s, range(1000), attempt) for s in (-1, 0, 1, 2**40) for attempt in range(4)]
    children = derive(torch.cat(keys)[:, None], torch.arange(4))
    assert children.unique().numel() == children.numel()


@pytest.mark.parametrize("seed", [0, 1, -5, 2**63, 10**30])
@pytest.mark.parametrize("along", ["examples", "counters"])
def test_uniform_numbers_are_uniform(seed, along):
    keys = (
        streams(seed=seed) if along == "examples" else derive(streams(1, seed)[:, None], torch.arange(MANY))
    )
    numbers = uniform(keys).flatten().numpy()
    assert stats.kstest(numbers, "uniform").pvalue > 1e-3


def test_uniform_numbers_are_inside_the_open_interval_at_both_ends():
    ends = uniform(torch.tensor([0, -1, 2**63 - 1, -(2**63)]))
    assert ends.dtype == torch.float64
    assert 0 < float(ends.min()) < 1e-15
    assert 1 - 1e-15 < float(ends.max()) < 1


def test_every_bit_of_a_key_is_a_fair_coin():
    keys = streams()
    for bit in range(64):
        ones = int((keys >> bit & 1).sum())
        assert abs(ones - MANY / 2) < 5 * math.sqrt(MANY) / 2


def released_noise(count: int) -> torch.Tensor:
    """As the released code draws it: uniform numbers rounded to bfloat16, of which those that are 1 become 0."""
    u = torch.rand(count, generator=torch.Generator().manual_seed(0), dtype=torch.float64).bfloat16().double()
    return -(-u.masked_fill(u == 1, 0).log()).log()


def test_coarse_noise_has_the_distribution_of_the_released_codes():
    noise, expected = coarse_gumbel(streams(500), 1001).flatten(), released_noise(500_500)
    never = noise < -100
    assert float(never.double().mean()) == pytest.approx(1 / 512, rel=0.1)
    assert float((expected == -torch.inf).double().mean()) == pytest.approx(1 / 512, rel=0.1)
    assert float(noise.max()) == pytest.approx(float(expected.max())) == pytest.approx(5.543, abs=1e-3)
    bins = torch.linspace(-2.2, 5.6, 40)
    counts, wanted = (torch.histogram(x.float(), bins).hist for x in (noise, expected))
    assert float((counts - wanted).abs().sum()) / 500_500 < 0.01


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 512])
def test_coarse_noise_belongs_to_its_key_and_place(count):
    keys = streams(6)
    noise = coarse_gumbel(keys, count)
    assert noise.shape == (6, count)
    assert torch.equal(noise, coarse_gumbel(keys, 512)[:, :count])
    assert torch.equal(noise[4:5], coarse_gumbel(keys[4:5], count))


def test_seeds_of_generators_differ_by_purpose_and_by_every_counter():
    numbers = (-2, -1, 0, 1, 2, 2**61 - 1, 2**63 - 1)
    seeds = {
        generator_seed(purpose, seed, counter)
        for purpose in Purpose
        for seed in numbers
        for counter in numbers
    }
    assert (
        len({seed & 0xFFFF_FFFF for seed in seeds}) == len(Purpose) * len(numbers) ** 2
    )  # torch keeps 32 bits


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (derive(streams(), 0), derive(streams(), 1)),
        (derive(streams(), 1), derive(streams(), 2)),
        (streams(), derive(streams(), 0)),
        (streams(), streams(attempt=1)),
        (streams(), streams(seed=1)),
        (streams()[:-1], streams()[1:]),
        (derive(derive(streams(), 3), 5), derive(derive(streams(), 5), 3)),
    ],
    ids=["counter", "next counter", "parent", "attempt", "seed", "neighbour", "order"],
)
def test_streams_are_independent(first, second):
    x, y = uniform(first).numpy(), uniform(second).numpy()
    assert stats.pearsonr(x, y).pvalue > 1e-3
    table, *_ = torch.histogramdd(torch.stack([torch.tensor(x), torch.tensor(y)], 1), bins=8)
    assert stats.chi2_contingency(table.numpy()).pvalue > 1e-3
