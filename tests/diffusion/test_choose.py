"""choose and columns_of against per-row Python."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from dopsd.diffusion.choose import best_of_each, choose, columns_of


@st.composite
def selections(draw):
    """Scores with many ties, candidates, and counts below, at and above the number of candidates."""
    rows, length = draw(st.integers(0, 5)), draw(st.integers(1, 9))

    def table(values):
        return draw(
            st.lists(st.lists(values, min_size=length, max_size=length), min_size=rows, max_size=rows)
        )

    counts = draw(st.lists(st.integers(0, length + 2), min_size=rows, max_size=rows))
    score = table(st.sampled_from([-1e30, -2.0, 0.0, 0.5, 1.0, 3e7]))
    return (
        torch.tensor(score).reshape(rows, length),
        torch.tensor(table(st.booleans()), dtype=torch.bool).reshape(rows, length),
        torch.tensor(counts, dtype=torch.int64),
    )


def best_columns(score: list[float], among: list[bool], count: int) -> set[int]:
    candidates = [i for i in range(len(score)) if among[i]]
    return set(sorted(candidates, key=lambda i: (-score[i], i))[:count])


@given(selections())
def test_chosen_are_the_best_candidates_of_each_row_and_ties_go_left(selection):
    score, among, count = selection
    chosen = choose(score, among=among, count=count)
    for row in range(len(score)):
        expected = best_columns(score[row].tolist(), among[row].tolist(), int(count[row]))
        assert set(chosen[row].nonzero()[:, 0].tolist()) == expected


@given(selections())
def test_exactly_count_are_chosen_or_all_candidates(selection):
    score, among, count = selection
    chosen = choose(score, among=among, count=count)
    assert torch.equal(chosen.sum(-1), count.minimum(among.sum(-1)))
    assert not (chosen & ~among).any()


def test_candidates_that_score_minus_infinity_are_still_candidates():
    score = torch.tensor([[-torch.inf, -torch.inf, 1.0, -torch.inf]])
    among = torch.tensor([[False, True, True, True]])
    chosen = choose(score, among=among, count=torch.tensor([2]))
    assert chosen.tolist() == [[False, True, True, False]]


def test_ties_go_left_in_rows_too_long_for_a_sort_that_happens_to_be_stable():
    score = torch.arange(4000).remainder(3).float().repeat(2, 1)
    among = torch.ones(2, 4000, dtype=torch.bool)
    chosen = choose(score, among=among, count=torch.tensor([700, 2000]))
    for row, count in enumerate((700, 2000)):
        assert set(chosen[row].nonzero()[:, 0].tolist()) == best_columns(
            score[row].tolist(), [True] * 4000, count
        )


def test_a_score_that_is_no_number_never_brings_in_what_is_not_a_candidate():
    score = torch.tensor([[torch.nan, 0.1, torch.nan, 0.3]])
    among = torch.tensor([[False, True, True, True]])
    for count in range(5):
        chosen = choose(score, among=among, count=torch.tensor([count]))
        assert int(chosen.sum()) == min(count, 3)
        assert not (chosen & ~among).any()


@given(selections(), st.data())
def test_columns_are_the_chosen_positions_left_to_right_then_padding(selection, data):
    _, chosen, _ = selection
    width = data.draw(st.integers(int(chosen.sum(-1).max()) if len(chosen) else 0, chosen.shape[1]))
    columns, is_real = columns_of(chosen, width)
    assert columns.shape == is_real.shape == (len(chosen), width)
    for row in range(len(chosen)):
        real = chosen[row].nonzero()[:, 0].tolist()
        assert columns[row][is_real[row]].tolist() == real
        assert is_real[row].tolist() == [True] * len(real) + [False] * (width - len(real))
        assert len(set(columns[row].tolist())) == width


def test_a_wrong_shape_is_an_error_not_a_broadcast():
    score = torch.zeros(2, 3)
    among = torch.ones(2, 3, dtype=torch.bool)
    count = torch.ones(2, dtype=torch.int64)
    with pytest.raises(TypeCheckError):
        choose(score, among=among[:1], count=count)
    with pytest.raises(TypeCheckError):
        choose(score, among=among, count=count[:1])
    with pytest.raises(TypeCheckError):
        choose(score, among=among.long(), count=count)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([-1.0, 0.0, 2.5])), max_size=12))
def test_the_best_of_each_group_is_its_first_maximum(rows):
    group, score = torch.tensor([r[0] for r in rows]).long(), torch.tensor([r[1] for r in rows])
    wanted = [
        max((i for i, r in enumerate(rows) if r[0] == name), key=lambda i: (rows[i][1], -i))
        for name in sorted({r[0] for r in rows})
    ]
    assert best_of_each(group, score).tolist() == wanted
