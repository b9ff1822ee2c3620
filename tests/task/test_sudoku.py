"""4x4 Sudoku: one solution each, splits disjoint by solution, verdicts by the rules on any string."""

import time

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dopsd.task import SPLITS, Example, Sudoku, Verdict
from dopsd.task.sudoku.grading import SudokuGold, constant_digit_accuracy, strict
from dopsd.task.sudoku.grids import grid_indices_of, grids, is_solved

AMBIGUOUS = SudokuGold(puzzle="0000341200000000", solution="1234341221434321")
GOLD = SudokuGold(puzzle="1200340020004021", solution="1234341221434321")
FIELD = Sudoku(score="cells", accept_score=0.25)
VARIANTS = [
    {},
    {"blanks": 1, "train": 500},
    {"blanks": (4, 10)},
    {"blanks": 12, "train": 5000},
    {"seed": 3, "blanks": [6, 6]},
]


def answer(grid: str) -> str:
    return f"<reasoning></reasoning><answer>\\boxed{{{grid}}}</answer>"


def solutions(puzzle: str) -> list[str]:
    return [
        grid
        for grid in grids()
        if all(given in ("0", cell) for given, cell in zip(puzzle, grid, strict=True))
    ]


def judge(gold: SudokuGold, response: str) -> tuple[float, float]:
    metrics = strict(gold, response).metrics
    return metrics["exact"], metrics["cells"]


@pytest.fixture(scope="module", params=VARIANTS, ids=str)
def task(request):
    return Sudoku(**request.param)


def test_there_are_288_grids_all_different_and_solved():
    assert len(set(grids())) == 288
    assert all(map(is_solved, grids()))


def test_the_splits_share_out_all_grids():
    parts = [grid_indices_of(split) for split in SPLITS]
    assert sorted(sum(parts, ())) == list(range(288))
    assert [len(part) for part in parts] == [173, 43, 72]


def test_every_puzzle_has_exactly_one_solution_and_the_promised_blanks(task):
    for split in SPLITS:
        for it in task.examples(split)[:300]:
            assert solutions(it.gold.puzzle) == [it.gold.solution]
            assert it.gold.puzzle.count("0") in task.blank_counts
            assert it.prompt == task.prompt(it.gold.puzzle)


def test_every_reference_solution_is_accepted(task):
    for split in SPLITS:
        for it in task.examples(split):
            verdict = task.verdict(it, it.solution)
            assert verdict == Verdict(accepted=True, score=1.0, metrics={"exact": 1.0, "cells": 1.0})


def test_splits_have_the_promised_size_no_repeats_and_no_common_solution(task):
    seen = [{it.gold.solution for it in task.examples(split)} for split in SPLITS]
    assert sum(map(len, seen)) == len(set().union(*seen))
    for split in SPLITS:
        assert task.sizes[split] == len(task.examples(split)) == len({it.id for it in task.examples(split)})


def test_a_range_of_blanks_is_used_evenly():
    blanks = [it.gold.puzzle.count("0") for it in Sudoku(blanks=(4, 10), test=700).examples("test")]
    assert np.bincount(blanks, minlength=11).tolist() == [0] * 4 + [100] * 7


def test_the_same_seed_gives_the_same_examples_and_another_one_others():
    assert Sudoku(seed=1).examples("dev") == Sudoku(seed=1).examples("dev")
    assert Sudoku(seed=1).examples("dev") != Sudoku(seed=2).examples("dev")


def test_another_seed_never_moves_a_solution_to_another_split():
    train = {it.gold.solution for it in Sudoku(seed=0).examples("train")}
    assert not train & {it.gold.solution for it in Sudoku(seed=1).examples("test")}


def test_twenty_thousand_puzzles_take_little_time():
    start = time.perf_counter()
    assert len(Sudoku(train=20_000).examples("train")) == 20_000
    assert time.perf_counter() - start < 5


def test_any_valid_completion_is_right():
    found = solutions(AMBIGUOUS.puzzle)
    assert len(found) > 1
    assert all(judge(AMBIGUOUS, answer(grid)) == (1.0, 1.0) for grid in found)


def test_a_valid_grid_that_changes_a_given_is_wrong():
    other = next(grid for grid in grids() if grid[0] != GOLD.puzzle[0])
    assert judge(GOLD, answer(other))[0] == 0.0


@pytest.mark.parametrize(
    "grid", ["1234 3412 2143 4321", "1234\n3412\n2143\n4321", "1,2,3,4,3,4,1,2,2,1,4,3,4,3,2,1"]
)
def test_separators_between_the_cells_do_not_matter(grid):
    assert judge(GOLD, answer(grid)) == (1.0, 1.0)


@pytest.mark.parametrize("grid", ["", "1234", GOLD.solution + "1", "123434122143432x", "none"])
def test_what_is_no_grid_scores_nothing(grid):
    assert judge(GOLD, answer(grid)) == (0.0, 0.0)


def test_cell_accuracy_counts_blanks_alone():
    blanks = [cell for cell, given in enumerate(GOLD.puzzle) if given == "0"]
    for wrong in range(1, len(blanks) + 1):
        cells = list(GOLD.solution)
        for cell in blanks[:wrong]:
            cells[cell] = "0"
        assert judge(GOLD, answer("".join(cells))) == (0.0, 1 - wrong / len(blanks))
    assert judge(GOLD, answer(GOLD.puzzle)) == (0.0, 0.0)


def test_one_constant_digit_passes_the_fields_threshold_on_most_puzzles_and_never_ours():
    """Chance: 25 % of the blanks on average, so `score="cells", accept_score=0.25` accepts seven in ten."""
    ours = Sudoku()
    for digit in "1234":
        verdicts = [FIELD.verdict(it, answer(digit * 16)) for it in FIELD.examples("test")]
        assert 0.24 < np.mean([it.score for it in verdicts]) < 0.26
        assert 0.65 < np.mean([it.accepted for it in verdicts]) < 0.78
        assert not any(ours.verdict(it, answer(digit * 16)).accepted for it in ours.examples("test"))


def test_what_is_learnt_from_does_not_change_what_is_reported():
    it = Example(id="sudoku/test/0", prompt="", solution=None, gold=GOLD)
    assert [task.metric for task in (Sudoku(), FIELD, Sudoku(grader="field"))] == ["exact", "exact", "cells"]
    assert Sudoku(metric="cells", score="exact").metric == "cells"
    for grid in ("1" * 16, GOLD.solution, GOLD.puzzle, "no"):
        ours, fields = Sudoku().verdict(it, answer(grid)), FIELD.verdict(it, answer(grid))
        assert (ours.metrics, ours.word) == (fields.metrics, fields.word)
        assert ours.accepted == (ours.metrics["exact"] == 1)
        assert fields.accepted == (fields.metrics["cells"] >= 0.25)
        assert ours.answer == grid


@pytest.mark.parametrize("grader", ["strict", "field"])
def test_chance_is_the_figure_of_the_best_constant_digit(grader):
    task = Sudoku(blanks=[4, 10], dev=100, grader=grader)
    examples = task.examples("dev")
    blind = [f"<answer>{digit * 16}</answer>" for digit in "1234"]
    of_digits = [[task.verdict(it, grid).metrics["cells"] for it in examples] for grid in blind]
    assert task.chance(examples) == {"cells": pytest.approx(max(map(np.mean, of_digits)))}
    blanks = [it.gold.puzzle.count("0") for it in examples]
    assert len(set(blanks)) > 1
    pooled = constant_digit_accuracy([it.gold for it in examples], pooled=True)
    assert pooled == pytest.approx(max(np.average(shares, weights=blanks) for shares in of_digits))


@settings(derandomize=True, deadline=None, max_examples=500)
@given(
    st.text()
    | st.text(alphabet="01234 \n|-").map(answer)
    | st.text("1234", min_size=16, max_size=16).map(answer)
)
@example("\ud800")
@example(answer("1" * 10_000))
@example("²" * 16)
@example(answer("²" * 16))
@example(answer("٣" * 16))
def test_any_string_gets_a_verdict(response):
    it = Example(id="sudoku/test/0", prompt="", solution=None, gold=GOLD)
    verdict = FIELD.verdict(it, response)
    assert isinstance(verdict, Verdict)
    assert 0 <= verdict.metrics["exact"] <= verdict.metrics["cells"] == verdict.score <= 1
    assert FIELD.verdict(it, response + " \n<|endoftext|><|endoftext|> ") == verdict


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", -1),
        ("blanks", 0),
        ("blanks", 13),
        ("blanks", (1, 2, 3)),
        ("blanks", "many"),
        ("blanks", None),
        ("train", 0),
        ("dev", 1.5),
        ("metric", "cell"),
        ("score", "cell"),
        ("accept_score", 0),
        ("accept_score", 1.5),
        ("accept_score", "all"),
    ],
)
def test_a_bad_value_is_refused_in_one_line(key, value):
    with pytest.raises(ValueError, match=rf"^task.{key}=[^\n]* must be [^\n]*$"):
        Sudoku(**{key: value})


def test_a_range_that_runs_backwards_is_refused():
    with pytest.raises(ValueError, match=r"^task.blanks=4: must be an integer in 6..12$"):
        Sudoku(blanks=(6, 4))


def test_a_split_that_cannot_be_filled_is_refused():
    with pytest.raises(ValueError, match=r"^task.train=5000: train has only \d+ puzzles with 1 blanks$"):
        Sudoku(blanks=1, train=5000).examples("train")
