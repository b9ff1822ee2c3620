"""Arms of several seeds beside each other, against their definitions."""

from itertools import chain, combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

from dopsd.evaluation.paired import PairedComparison
from dopsd.evaluation.paired_seeds import SeedsComparison, holm

P = st.floats(1e-6, 1.0)


def shares(seed: int, right: float, problems: int = 40) -> dict[str, float]:
    drawn = np.random.default_rng(seed).random(problems) < right
    return {str(i): float(it) for i, it in enumerate(drawn)}


def test_one_seed_is_the_paired_comparison() -> None:
    first, second = shares(1, 0.3), shares(2, 0.6)
    alone = PairedComparison.of(first, second)
    both = SeedsComparison.of({"1": first, "7": first}, {"1": second, "8": first})
    assert both.by_seed == {"1": alone}
    assert (both.difference, both.low, both.high) == (alone.difference, alone.low, alone.high)
    assert alone.mcnemar is not None
    assert both.p == alone.mcnemar.exact_p


@settings(max_examples=6)
@given(st.integers(0, 10_000), st.integers(2, 3), st.floats(0.2, 0.8))
def test_p_and_interval_say_the_same_and_mirror(seed: int, seeds: int, right: float) -> None:
    first = {str(s): shares(seed + s, 0.5) for s in range(seeds)}
    second = {str(s): shares(seed + 100 + s, right) for s in range(seeds)}
    there, back = SeedsComparison.of(first, second), SeedsComparison.of(second, first)
    assert (there.difference, there.low, there.p) == pytest.approx((-back.difference, -back.high, back.p))
    assert there.p is not None
    assert (there.p < 0.05) == (there.low > 0 or there.high < 0)
    means = [np.mean(list(second[s].values())) - np.mean(list(first[s].values())) for s in first]
    assert there.difference == pytest.approx(np.mean(means))


def test_where_only_seeds_differ_it_is_students_interval_over_them() -> None:
    rises = np.array([0.1, 0.4, 0.2])
    first = {str(s): dict.fromkeys("abcdefgh", 0.5) for s in range(3)}
    second = {str(s): dict.fromkeys("abcdefgh", 0.5 + rise) for s, rise in enumerate(rises)}
    found = SeedsComparison.of(first, second)
    half = t.ppf(0.975, 2) * rises.std(ddof=1) / np.sqrt(3)
    assert (found.low, found.high) == pytest.approx((rises.mean() - half, rises.mean() + half))


@pytest.mark.parametrize(
    ("second", "why"),
    [({"3": {"a": 1.0}}, "no seed in common"), ({"1": {"b": 1.0}}, "only answers to the same examples")],
)
def test_what_cannot_be_compared(second: dict[str, dict[str, float]], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        SeedsComparison.of({"1": {"a": 1.0}}, second)


@given(st.lists(P, min_size=1, max_size=6))
def test_holm_is_closed_testing_by_bonferroni(values: list[float]) -> None:
    n = len(values)
    subsets = list(chain.from_iterable(combinations(range(n), size) for size in range(1, n + 1)))
    expected = [
        max(min(1.0, len(s) * min(values[j] for j in s)) for s in subsets if i in s) for i in range(n)
    ]
    assert holm(values) == pytest.approx(expected)
