"""The endless numbered stream of training examples."""

import pytest
from fakes import example
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from dopsd.stream import TrainingStream

EXAMPLES = [example(i) for i in range(7)]


def ids(stream: TrainingStream, numbers) -> list[str]:
    return [stream[number].example.id for number in numbers]


@given(st.integers(-(2**40), 2**80), st.integers(0, 20))
def test_every_pass_is_a_permutation_of_the_examples(seed, which):
    stream = TrainingStream(EXAMPLES, length=10**6, seed=seed)
    assert sorted(ids(stream, range(7 * which, 7 * which + 7))) == [e.id for e in EXAMPLES]


def test_passes_and_seeds_are_shuffled_differently():
    orders = {
        tuple(ids(TrainingStream(EXAMPLES, length=100, seed=seed), range(7 * which, 7 * which + 7)))
        for seed in range(7)
        for which in range(4)
    }
    assert len(orders) == 28


@pytest.mark.parametrize(("seed", "other"), [(-1, -2), (0, 2**61 - 1)])
def test_seeds_that_python_hashes_alike_shuffle_differently(seed, other):
    assert hash(seed) == hash(other)
    orders = [ids(TrainingStream(EXAMPLES, length=7, seed=each), range(7)) for each in (seed, other)]
    assert orders[0] != orders[1]


@given(st.lists(st.integers(0, 99), max_size=20))
def test_draw_n_is_the_same_in_whatever_order_the_draws_are_made(numbers):
    in_order = TrainingStream(EXAMPLES, length=100, seed=3)
    expected = [in_order[number] for number in range(100)]
    stream = TrainingStream(EXAMPLES, length=100, seed=3)
    for number in numbers:
        draw = stream[number]
        assert draw.number == number
        assert draw == expected[number]


@pytest.mark.parametrize("batch_size", [1, 4, 9])
def test_the_batch_size_does_not_change_the_sequence(batch_size):
    stream = TrainingStream(EXAMPLES, length=18, seed=0)
    batches = list(DataLoader(stream, batch_size=batch_size, collate_fn=list))  # type: ignore[arg-type]
    assert len(stream) == 18
    assert [draw for batch in batches for draw in batch] == [stream[number] for number in range(18)]


def test_a_stream_of_no_examples_is_refused():
    with pytest.raises(ValueError, match="0 examples"):
        TrainingStream([], length=3, seed=0)
