"""What is divided over ranks is divided evenly and completely; one process is the first of one."""

from unittest import mock

import torch
from hypothesis import given
from hypothesis import strategies as st

from dopsd import ranks


def as_rank(this: int, count: int) -> mock._patch_dict | mock._patch:
    return mock.patch.multiple(ranks, this=lambda: this, count=lambda: count)


@given(st.integers(1, 40), st.integers(1, 9))
def test_shares_are_equal_and_every_row_is_the_own_of_one_rank(rows: int, count: int) -> None:
    own: list[int] = []
    for this in range(count):
        with as_rank(this, count):
            mine, is_mine = ranks.equal_share(rows)
        assert len(mine) == -(-rows // count)
        assert mine.max() < rows
        own += mine[is_mine].tolist()
    assert sorted(own) == list(range(rows))


@given(st.lists(st.integers()), st.integers(1, 9))
def test_what_is_dealt_comes_back_in_order(whole: list[int], count: int) -> None:
    hands = [whole[this::count] for this in range(count)]
    for this in range(count):
        with as_rank(this, count), mock.patch.object(ranks, "gathered", return_value=hands):
            assert ranks.dealt_back(hands[this]) == whole


def test_one_process_talks_to_nobody() -> None:
    gradient = torch.ones(2)
    ranks.add_up(gradient)
    assert gradient.tolist() == [1, 1]
    assert (ranks.this(), ranks.count(), ranks.is_first()) == (0, 1, True)
    assert ranks.gathered("x") == ["x"]
    assert ranks.of_first("x") == "x"
