"""Prompts of different length in one rectangle."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from dopsd.diffusion.prompts import Prompts

ragged = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=6), min_size=1, max_size=5)


def unpadded(prompts: Prompts) -> list[list[int]]:
    pairs = zip(prompts.tokens, prompts.attention_mask, strict=True)
    return [tokens[real].tolist() for tokens, real in pairs]


@given(ragged)
def test_padding_stands_on_the_left_and_loses_nothing(rows):
    prompts = Prompts.pad(rows, 0)
    assert len(prompts) == len(rows)
    assert prompts.tokens.shape[1] == max(map(len, rows))
    assert unpadded(prompts) == rows
    assert (prompts.attention_mask.long().diff(dim=1) >= 0).all()
    assert prompts.tokens[~prompts.attention_mask].eq(0).all()


@given(ragged, st.data())
def test_some_rows_are_those_prompts_without_common_padding(rows, data):
    picked = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=6))
    some = Prompts.pad(rows, 0)[torch.tensor(picked, dtype=torch.int64)]
    assert unpadded(some) == [rows[i] for i in picked]
    assert some.tokens.shape[1] == max((len(rows[i]) for i in picked), default=0)
    assert some.is_padded is bool((~some.attention_mask).any())


@given(ragged)
def test_slices_and_boolean_rows_agree_with_indices(rows):
    prompts = Prompts.pad(rows, 0)
    first = torch.arange(len(rows)) < 2
    assert unpadded(prompts[:2]) == unpadded(prompts[first]) == rows[:2]


@given(ragged)
def test_the_canvas_starts_at_the_same_column_of_every_row(rows):
    canvas = 10 + torch.arange(len(rows) * 3).reshape(len(rows), 3)
    prompts = Prompts.pad(rows, 0)
    tokens, real = prompts.followed_by(canvas)
    assert torch.equal(tokens[:, -3:], canvas)
    assert (real is None) is (not prompts.is_padded)
    real = torch.ones_like(tokens, dtype=torch.bool) if real is None else real
    assert [t[r].tolist() for t, r in zip(tokens, real, strict=True)] == [
        row + c.tolist() for row, c in zip(rows, canvas, strict=True)
    ]


def test_a_wrong_shape_is_an_error_not_a_broadcast():
    tokens = torch.zeros(2, 3, dtype=torch.int64)
    with pytest.raises(TypeCheckError):
        Prompts(tokens=tokens, attention_mask=torch.ones(1, 3, dtype=torch.bool))
    with pytest.raises((TypeCheckError, RuntimeError)):
        Prompts.pad([[1], [2]], 0).followed_by(tokens[:1])
