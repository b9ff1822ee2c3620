"""Paired comparison against brute force and scipy."""

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap

from dopsd.evaluation.bootstrap import bootstrap_mean
from dopsd.evaluation.paired import McNemar, PairedComparison


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_the_sign_test(first: int, second: int) -> None:
    n, test = first + second, McNemar.of(first, second)
    chances = [comb(n, i) / 2**n for i in range(n + 1)]
    at_least_as_odd = sum(chance for chance in chances if chance <= chances[first] * (1 + 1e-9))
    assert test.exact_p == pytest.approx(at_least_as_odd)
    tail = sum(chances[: min(first, second) + 1]) - chances[first] / 2
    assert test.mid_p == pytest.approx(min(2 * tail, 1.0))
    assert test.mid_p <= test.exact_p + 1e-12
    assert (test.mid_p, test.exact_p) == (McNemar.of(second, first).mid_p, McNemar.of(second, first).exact_p)


def test_the_bootstrap_is_scipys() -> None:
    values = np.random.default_rng(0).choice([-1.0, 0.0, 0.5, 1.0], size=150)
    reference = bootstrap((values,), np.mean, method="percentile", n_resamples=9999, batch=500)
    assert bootstrap_mean(values) == pytest.approx(tuple(reference.confidence_interval), abs=0.02)
    assert bootstrap_mean(values) == bootstrap_mean(values[::-1])


def test_second_minus_first_in_whatever_order_the_ids_come() -> None:
    first = {"a": 1.0, "b": 0.0, "c": 0.0, "d": 1.0}
    second = {"d": 1.0, "c": 1.0, "b": 1.0, "a": 0.0}
    comparison = PairedComparison.of(first, second)
    assert (comparison.n, comparison.first, comparison.second, comparison.difference) == (4, 0.5, 0.75, 0.25)
    assert comparison.low <= 0.25 <= comparison.high
    assert comparison.mcnemar is not None
    assert (comparison.mcnemar.only_first, comparison.mcnemar.only_second) == (1, 2)
    assert "McNemar mid-p" in str(comparison)


def test_shares_of_several_samples_have_an_interval_but_no_mcnemar() -> None:
    comparison = PairedComparison.of({"a": 0.5, "b": 0.0}, {"a": 1.0, "b": 0.25})
    assert comparison.mcnemar is None
    assert comparison.difference == pytest.approx(0.375)
    assert str(comparison) == "+37.5 points [+25.0, +50.0]"


def test_answers_to_other_examples_are_not_compared() -> None:
    with pytest.raises(ValueError, match="1 ids stand only in the first, 2 only in the second, 1 in both"):
        PairedComparison.of({"a": 1.0, "b": 1.0}, {"a": 1.0, "c": 0.0, "d": 0.0})
