"""Who sees whom: the structures against their definition, written out column by column."""

import pytest
import torch

from dopsd.model.visible import All, BlockCausal, Causal, TwoStream, Visible

PROMPT, GEN, BLOCK = 5, 6, 2


def seen_by(visible: Visible, width: int) -> torch.Tensor:
    columns = torch.arange(width)
    return visible.sees(columns[:, None], columns, width)


def two_stream_by_hand(query: int, key: int) -> bool:
    """The published table: prompt blocks have negative numbers, counted backwards from the prompt's end."""

    def place(column: int) -> tuple[str, int]:
        if column < PROMPT:
            return "prompt", (column - PROMPT) // BLOCK
        if column < PROMPT + GEN:
            return "clean", (column - PROMPT) // BLOCK
        return "noisy", (column - PROMPT - GEN) // BLOCK

    (stream, block), (of_key, other) = place(query), place(key)
    if stream == "prompt":
        return of_key == "prompt" and other <= block
    if stream == "clean":
        return of_key == "prompt" or (of_key == "clean" and other <= block)
    return (
        of_key == "prompt" or (of_key == "clean" and other < block) or (of_key == "noisy" and other == block)
    )


def test_two_streams_are_the_published_table():
    width = PROMPT + 2 * GEN
    expected = [[two_stream_by_hand(query, key) for key in range(width)] for query in range(width)]
    assert seen_by(TwoStream(BLOCK, GEN), width).tolist() == expected


def test_blocks_are_counted_backwards_from_the_end():
    expected = [[key < 1 for key in range(7)]] + [
        [key < 1 + 3 * (1 + (query - 1) // 3) for key in range(7)] for query in range(1, 7)
    ]
    assert seen_by(BlockCausal(3), 7).tolist() == expected
    assert torch.equal(seen_by(BlockCausal(1), 7), seen_by(Causal(), 7))
    assert torch.equal(seen_by(BlockCausal(7), 7), seen_by(All(), 7))
    assert torch.equal(seen_by(Causal(), 7), torch.ones(7, 7).tril().bool())


@pytest.mark.parametrize("visible", [All(), Causal(), BlockCausal(3), TwoStream(BLOCK, GEN)])
def test_every_column_sees_itself(visible):
    assert seen_by(visible, PROMPT + 2 * GEN).diagonal().all()


def test_the_noisy_stream_stands_where_the_clean_one_does():
    visible, width = TwoStream(BLOCK, GEN), PROMPT + 2 * GEN
    clean = list(range(PROMPT, PROMPT + GEN))
    counted = torch.arange(width)[None]
    assert visible.positions(counted)[0].tolist() == [*range(PROMPT), *clean, *clean]
    noisy = torch.arange(PROMPT + GEN, width)
    before = [4, 11, 6, 13, 8, 15]  # the prompt's or the clean block's end, then the noisy column before
    assert visible.before(noisy[None], width)[0].tolist() == before
    assert visible.before(torch.tensor([[0, 1, 5, 6, 10]]), width)[0].tolist() == [0, 0, 4, 5, 9]


def test_blocks_must_divide_the_canvas():
    with pytest.raises(ValueError, match="gen_length=6 must be a multiple of block_length=4"):
        TwoStream(block_length=4, gen_length=6)
