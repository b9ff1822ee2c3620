"""Intervals: Wilson's, and what becomes of it when samples and seeds repeat the same problems."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_1samp

from dopsd.evaluation.interval import Interval


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(counts: tuple[int, int]) -> None:
    successes, n = counts
    bounds = binomtest(successes, n).proportion_ci(method="wilson")
    for ours in (
        Interval.of(successes, n),
        Interval.of_problems([1.0] * successes + [0.0] * (n - successes)),
    ):
        assert (ours.accuracy, ours.n) == (pytest.approx(successes / n), n)
        assert (ours.low, ours.high) == (pytest.approx(bounds.low), pytest.approx(bounds.high))


def test_no_example_has_no_accuracy() -> None:
    for make in (lambda: Interval.of(0, 0), lambda: Interval.of_problems([])):
        with pytest.raises(ValueError, match="at least 1 graded example"):
            make()


@given(st.lists(st.sampled_from([0, 0.25, 0.5, 0.75, 1]), min_size=1, max_size=60))
def test_an_interval_holds_its_mean_and_stays_in_bounds(shares: list[float]) -> None:
    interval = Interval.of_problems(shares)
    assert 0 <= interval.low <= interval.accuracy <= interval.high <= 1
    if len(set(shares)) > 1 or shares[0] in (0, 1):
        assert interval.high - interval.low > 0


def test_repeating_each_sample_adds_no_certainty() -> None:
    once = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0]
    assert Interval.of_problems(once) == Interval.of_problems([(s + s + s) / 3 for s in once])


def test_the_clustered_interval_covers_what_it_should() -> None:
    random, covered = np.random.default_rng(0), 0
    for _ in range(400):
        chances = random.beta(0.5, 0.7, size=80)
        interval = Interval.of_problems(random.binomial(4, chances) / 4)
        covered += interval.low <= 0.5 / 1.2 <= interval.high
    assert 0.92 < covered / 400 < 0.98


def crossed(random: np.random.Generator, seeds: int, problems: int, seed_spread: float) -> np.ndarray:
    """Outcomes of a model whose skill differs from seed to seed and from problem to problem."""
    latent = seed_spread * random.normal(size=(seeds, 1)) + random.normal(size=(1, problems))
    return (latent + random.normal(size=(seeds, problems)) > 0).astype(float)


def test_the_interval_over_seeds_covers_what_it_should_where_a_plain_one_does_not() -> None:
    random, covered, plain = np.random.default_rng(1), 0, 0
    for _ in range(400):
        shares = crossed(random, seeds=3, problems=200, seed_spread=0.3)
        pooled, one = Interval.of_seeds(shares), Interval.of_problems(shares.mean(0))
        covered += pooled.low <= 0.5 <= pooled.high
        plain += one.low <= 0.5 <= one.high
    assert covered / 400 > 0.92
    assert plain / 400 < 0.75


def test_seeds_that_agree_leave_the_problems_uncertainty() -> None:
    one = np.random.default_rng(3).binomial(1, 0.4, size=300).astype(float)
    pooled = Interval.of_seeds(np.stack([one] * 3))
    expected = ttest_1samp(one, 0).confidence_interval(0.95)
    assert (pooled.low, pooled.high) == pytest.approx((expected.low, expected.high), abs=0.005)


def test_seeds_that_differ_widen_it() -> None:
    random = np.random.default_rng(4)
    same = crossed(random, 3, 200, 0.0)
    differing = np.stack([np.sort(same[0]), np.zeros(200), np.ones(200)])
    narrow, wide = Interval.of_seeds(same), Interval.of_seeds(differing)
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_all_wrong_is_not_certain() -> None:
    pooled = Interval.of_seeds(np.zeros((3, 50)))
    assert pooled.low == 0
    assert pooled.high > 0.05


@pytest.mark.parametrize("shape", [(1, 5), (2, 1)])
def test_pooling_needs_two_of_each(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least 2 seeds and 2 problems"):
        Interval.of_seeds(np.zeros(shape))
