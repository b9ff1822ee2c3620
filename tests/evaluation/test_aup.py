"""Accuracy under parallelism against cases worked out by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dopsd.evaluation.aup import accuracy_under_parallelism

curves = st.lists(
    st.tuples(st.floats(0.5, 20), st.floats(0, 100)), min_size=1, max_size=6, unique_by=lambda p: p[0]
)


def test_a_curve_worked_out_by_hand():
    # W(80) = 1, W(76) = exp(-3 * 4 / 80) = exp(-.15); the point at 74 is more than 5 below the first.
    points = [(4.0, 76.0), (1.0, 80.0), (9.0, 74.0)]
    wanted = 1 * 80 + (4 - 1) * (80 + 76 * math.exp(-0.15)) / 2
    assert accuracy_under_parallelism(points) == pytest.approx(wanted, rel=1e-15)
    assert wanted == pytest.approx(298.1207, abs=1e-4)
    # Beside another method that reached 90, W(80) = exp(-1/3) and W(76) = exp(-3 * 14 / 90).
    beside = 80 + 1.5 * (80 * math.exp(-1 / 3) + 76 * math.exp(-14 / 30))
    assert accuracy_under_parallelism(points, best=90) == pytest.approx(beside, rel=1e-15)


@given(st.lists(st.floats(0.5, 20), min_size=1, max_size=6, unique=True), st.floats(0, 100))
def test_without_a_loss_of_accuracy_it_is_the_area(xs, accuracy):
    points = [(x, accuracy) for x in xs]
    assert accuracy_under_parallelism(points) == pytest.approx(max(xs) * accuracy, rel=1e-9)


@given(curves, st.randoms(use_true_random=False))
def test_the_order_of_the_points_does_not_matter(points, random):
    shuffled = random.sample(points, len(points))
    assert accuracy_under_parallelism(shuffled) == accuracy_under_parallelism(points)


@pytest.mark.parametrize("points", [[], [(0.0, 50.0)], [(1.0, 101.0)], [(1.0, -1.0)]])
def test_what_cannot_be_is_refused(points):
    with pytest.raises(ValueError, match="is not defined"):
        accuracy_under_parallelism(points)
