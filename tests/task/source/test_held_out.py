"""Dev is cut from train: the same rows whatever their order, and no problem stands on two sides."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dopsd.task.source.held_out import HeldOut
from dopsd.task.source.row import Record
from dopsd.task.source.source import PublishedData


class Listed(PublishedData):
    def __init__(self, **parts: list[str]) -> None:
        self._parts = parts

    def parts(self):
        return list(self._parts)

    def rows(self, part):
        return [Record(values={"q": text}, where=f"{part} {n}") for n, text in enumerate(self._parts[part])]


def key(row: Record) -> str:
    return row.values["q"]


def texts(source, split):
    return [key(row) for row in source.rows(split)]


PROBLEMS = st.lists(st.text(max_size=3), min_size=1, max_size=40)


@given(PROBLEMS, PROBLEMS, st.integers(1, 5))
def test_no_problem_stands_in_two_splits_and_none_is_lost(train, test, dev):
    source = HeldOut(Listed(train=train, test=test), key=key, dev=dev)
    assert texts(source, "test") == test
    if len(set(train) - set(test)) <= dev:
        with pytest.raises(
            ValueError, match=rf"^task.dev={dev}: must be below \d+, the number of train problems$"
        ):
            source.rows("train")
        return
    kept, held_out = texts(source, "train"), texts(source, "dev")
    assert len(set(held_out)) == dev
    assert not set(kept) & set(held_out)
    assert sorted(kept + held_out) == sorted(text for text in train if text not in test)


@given(st.sets(st.text(max_size=4), min_size=8), st.integers(1, 6), st.integers(0, 99))
def test_the_order_of_the_rows_does_not_matter_and_a_larger_dev_holds_a_smaller(train, dev, seed):
    rows = sorted(train)
    shuffled = Random(seed).sample(rows, len(rows))
    small = HeldOut(Listed(train=rows), key=key, dev=dev)
    assert set(texts(small, "dev")) == set(texts(HeldOut(Listed(train=shuffled), key=key, dev=dev), "dev"))
    assert set(texts(small, "dev")) < set(texts(HeldOut(Listed(train=rows), key=key, dev=dev + 1), "dev"))


def test_train_rows_of_test_problems_are_told(caplog):
    source = HeldOut(Listed(train=["a", "b", "c", "d"], test=["b"]), key=key, dev=1)
    assert "b" not in texts(source, "train") + texts(source, "dev")
    assert "1 of 4 train rows stand in test too and are left out" in caplog.text
