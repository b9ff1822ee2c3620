"""pass@k against its definition: the share of all k-subsets that hold a right sample."""

from fractions import Fraction
from itertools import combinations
from math import comb

import pytest

from dopsd.evaluation.pass_at_k import pass_at, pass_at_k


@pytest.mark.parametrize("samples", range(1, 7))
def test_it_is_the_share_of_subsets_with_a_right_sample(samples: int) -> None:
    for correct in range(samples + 1):
        right = [True] * correct + [False] * (samples - correct)
        for k in range(1, samples + 1):
            subsets = [any(subset) for subset in combinations(right, k)]
            assert pass_at_k(samples, correct, k) == pytest.approx(sum(subsets) / len(subsets))


def test_it_is_unbiased() -> None:
    """The mean over all outcomes of 6 samples at chance 3/10 is 1 - (7/10)^k, exactly."""
    chance = Fraction(3, 10)
    for k in range(1, 7):
        mean = sum(
            comb(6, correct)
            * chance**correct
            * (1 - chance) ** (6 - correct)
            * Fraction(pass_at_k(6, correct, k))
            for correct in range(7)
        )
        assert float(mean) == pytest.approx(float(1 - (1 - chance) ** k))


@pytest.mark.parametrize(("samples", "correct", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 0), (4, 2, 5)])
def test_nonsense_is_refused(samples: int, correct: int, k: int) -> None:
    with pytest.raises(ValueError, match="is not defined"):
        pass_at_k(samples, correct, k)


def test_k_runs_over_powers_of_two_and_the_number_of_samples() -> None:
    problems = [[True, False, False, False, False, False], [False] * 6, [True] * 6]
    table = pass_at(problems)
    assert list(table) == [1, 2, 4, 6]
    assert table[1].accuracy == pytest.approx((1 / 6 + 0 + 1) / 3)
    assert table[6].accuracy == pytest.approx(2 / 3)
    assert all(interval.n == 3 for interval in table.values())
