"""The main table's differences: seeds and puzzles are drawn, and both count."""

import sys
from pathlib import Path

import pytest
from made_runs import ended

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))

from shortcuts import change


def test_seeds_that_agree_do_not_make_a_difference_certain(tmp_path: Path) -> None:
    """Every seed fails at the same puzzle of eight: over seeds alone the interval would have no width."""
    for seed in (1, 2, 3):
        right = [True] * 6 + [False] * 2
        ended(tmp_path / "ours" / str(seed), right, summary={"seed": seed})
        ended(tmp_path / "other" / str(seed), [False, *right[1:]], summary={"seed": seed})
    text = change(tmp_path / "other", tmp_path / "ours", "best")
    low, high = (float(bound) for bound in text.split("[")[1].rstrip("]").split(", "))
    assert text.startswith("-12.5 points")
    assert low < -25
    assert high > 0


def test_runs_of_other_seeds_are_not_compared(tmp_path: Path) -> None:
    ended(tmp_path / "ours" / "a", [True, False], summary={"seed": 1})
    ended(tmp_path / "other" / "a", [True, True], summary={"seed": 2})
    with pytest.raises(ValueError, match="no seed in common"):
        change(tmp_path / "other", tmp_path / "ours", "best")
