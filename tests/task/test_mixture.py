"""The embedded model's training text: a function of seed and index, in the promised shares, train only."""

import time

import pytest

from dopsd.task import Countdown, EmbeddedMixture, Sudoku

TERSE = "<reasoning></reasoning>"


def mixture(**settings) -> EmbeddedMixture:
    return EmbeddedMixture(countdown=Countdown(), sudoku=Sudoku(), **settings)


@pytest.fixture(scope="module")
def task():
    return mixture()


@pytest.fixture(scope="module")
def samples(task):
    return task.examples("train")[:4000]


def of(samples, name):
    return [it for it in samples if it.id.startswith(name)]


def share(found):
    found = list(found)
    return sum(found) / len(found)


def test_a_sample_depends_on_seed_and_index_alone(task, samples):
    train = mixture().examples("train")
    for index in (3999, 0, 17, 1234):
        assert train[index] == samples[index]
    assert mixture(seed=1).examples("train")[17] != samples[17]


def test_it_is_a_sequence_of_the_promised_length(task):
    train = mixture(samples=100).examples("train")
    assert len(train) == 100 == len(list(train))
    assert train[-1] == train[99]
    with pytest.raises(IndexError):
        train[100]


def test_tasks_and_styles_come_in_the_promised_shares(samples):
    assert abs(share(it.id.startswith("countdown") for it in samples) - 0.35) < 0.04
    assert abs(share(TERSE in it.solution for it in of(samples, "countdown")) - 0.6) < 0.05
    assert abs(share(TERSE in it.solution for it in of(samples, "sudoku")) - 0.6) < 0.05


def test_worked_answers_are_right_and_terse_ones_careless(task, samples):
    worked = [it for it in samples if TERSE not in it.solution]
    assert all(task.verdict(it, it.solution).accepted for it in worked)
    terse = [it for it in samples if TERSE in it.solution]
    assert share(task.verdict(it, it.solution).accepted for it in of(terse, "countdown")) < 0.25
    assert 0.15 < share(task.verdict(it, it.solution).accepted for it in of(terse, "sudoku")) < 0.40


def test_every_sample_is_of_a_train_puzzle(task, samples):
    train = {it.id for part in (task.countdown, task.sudoku) for it in part.examples("train")}
    assert {it.id.partition("#")[0] for it in samples} <= train


def test_dev_and_test_are_the_two_tasks_own(task):
    for split in ("dev", "test"):
        assert task.examples(split) == [*task.countdown.examples(split), *task.sudoku.examples(split)]


def test_the_verdict_is_that_of_the_task_an_example_comes_from_and_names_it(task):
    for part in (task.countdown, task.sudoku):
        it = part.examples("dev")[0]
        assert task.verdict(it, it.solution).metrics[part.name] == 1.0
        assert task.verdict(it, "").metrics[part.name] == 0.0


def test_chance_is_that_of_the_puzzles_that_have_it(task):
    chance = task.sudoku.chance(task.sudoku.examples("dev"))
    assert task.chance(task.examples("dev")) == chance != {}
    assert task.chance(task.countdown.examples("dev")) == {}


def test_samples_are_made_quickly(task):
    train = task.examples("train")
    list(train[:100])
    start = time.perf_counter()
    list(train[100:2100])
    assert (time.perf_counter() - start) / 2000 < 5e-4


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", -1),
        ("samples", 0),
        ("countdown_share", 1.5),
        ("terse_share_countdown", -0.1),
        ("terse_share_sudoku", "half"),
        ("terse_cell_accuracy", True),
    ],
)
def test_a_bad_value_is_refused_in_one_line(key, value):
    with pytest.raises(ValueError, match=rf"^task.{key}={value!r}: must be [^\n]*$"):
        mixture(**{key: value})


def test_countdown_beyond_four_numbers_is_refused():
    with pytest.raises(ValueError, match=r"^task.countdown.numbers=5: must be an integer in 2..4$"):
        EmbeddedMixture(countdown=Countdown(numbers=5), sudoku=Sudoku())
