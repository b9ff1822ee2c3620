"""The share of tokens that differ between two decodings of the same examples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dopsd.evaluation.differing import differing

ANSWERS = st.lists(st.integers(0, 2), max_size=5)


@given(st.lists(st.tuples(ANSWERS, ANSWERS), max_size=6))
def test_it_is_the_share_of_the_positions_up_to_the_end_of_the_longer_answer(pairs) -> None:
    canvas = np.full((2, len(pairs), 5), -1)  # -1 is where an answer has ended
    for row, pair in enumerate(pairs):
        for side, answer in enumerate(pair):
            canvas[side, row, : len(answer)] = answer
    answered = (canvas >= 0).any(0)
    expected = (canvas[0] != canvas[1])[answered].mean() if answered.any() else 0.0
    assert differing(*([pair[side] for pair in pairs] for side in (0, 1))) == pytest.approx(expected)


def test_only_as_many_answers_are_compared() -> None:
    with pytest.raises(ValueError, match="zip"):
        differing([[1]], [[1], [2]])
