"""The grade command: both graders side by side, and one line with exit code 2 for every mistake."""

import json
import sys

import pytest

from dopsd import grade
from dopsd.task import Countdown

ROWS = [
    {"question": "1?", "generation": "\\boxed{1,080}", "ground_truth": 1080.0},
    {"question": "2?", "generation": "<answer>\\boxed{2}</answer>", "ground_truth": "so #### 2"},
    {"question": "3?", "generation": "<answer>4</answer><|endoftext|>", "ground_truth": 3},
    {"question": "4?", "generation": "4", "ground_truth": None},
]


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["dopsd-grade", *arguments])
        code = 0
        try:
            grade.main()
        except SystemExit as exit_:
            code = exit_.code
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err.splitlines()

    return run


def file(tmp_path, rows=ROWS, name="rows.jsonl"):
    path = tmp_path / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"generations={path}"


def test_both_graders_stand_side_by_side(run, tmp_path):
    code, out, err = run("task=gsm8k", file(tmp_path))
    assert (code, err) == (0, [])
    assert out[1].startswith("accuracy: 66.67 % [")
    assert out[1].endswith("of 3, grader=strict")
    assert "strict 66.67 %" in out[2]
    assert "field  25.00 %" in out[3]
    assert out[4].startswith("no gold answer in 1 rows")
    assert out[5] == "the graders differ on 1 rows (disagreements=true lists them)"
    assert list(tmp_path.iterdir()) == [tmp_path / "rows.jsonl"]


def test_a_row_without_a_generation_is_no_answer_and_counted(run, tmp_path):
    rows = [ROWS[1], ROWS[1] | {"generation": None}, ROWS[1] | {"generation": float("nan")}]
    code, out, _ = run("task=gsm8k", file(tmp_path, rows))
    assert code == 0
    assert out[1].startswith("accuracy: 33.33 % [")
    assert "no generation in 2 rows (counted as no answer): rows.jsonl line 2; rows.jsonl line 3" in out


def test_half_a_character_in_a_generation_is_graded_and_shown(run, tmp_path):
    rows = [ROWS[1], ROWS[0] | {"generation": "\ud800 \\boxed{1,080}"}]
    code, out, err = run("task=gsm8k", file(tmp_path, rows), "disagreements=true")
    assert (code, err) == (0, [])
    assert out[-1].endswith("only strict accepts; gold 1080.0; ... \\ud800 \\boxed{1,080}")


def test_the_grader_asked_for_comes_first_and_disagreements_are_listed(run, tmp_path):
    code, out, _ = run("task=gsm8k", file(tmp_path), "grader=field", "disagreements=true")
    assert code == 0
    assert out[1].startswith("accuracy: 25.00 % [")
    assert out[6].startswith("rows.jsonl line 1: only strict accepts; gold 1080.0; ... \\boxed{1,080}")


def test_sudoku_is_reported_with_cells_and_chance(run, tmp_path):
    row = {"question": "puzzle: 0000341221434321", "ground_truth": "1234341221434321"}
    rows = [
        row | {"generation": "<answer>1111341221434321</answer>"},
        row | {"generation": "1234341221434321"},
    ]
    code, out, _ = run("task=sudoku", file(tmp_path, rows), "grader=field")
    assert code == 0
    assert out[1].startswith("accuracy: 62.50 % [")
    assert "solved 0.00 %" in out[2]
    assert "chance (one digit 16 times) 25.00 % of the cells" in out[2]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            [],
            "task=null: must be one of arithmetic, countdown, embedded_mixture, gsm8k, gsm_symbolic, jsonl, ",
        ),
        (["task=gsm8k"], "generations"),
        (["task=embedded_mixture", "ROWS"], "rows.jsonl line 1: has no column id (there are question, "),
        (
            ["task=gsm8k", "generations=nowhere.jsonl"],
            "generations=nowhere.jsonl: nowhere.jsonl: cannot be read",
        ),
        (["task=gsm8k", "generations=rows.txt"], "generations=rows.txt: rows.txt: must end in one of .jsonl"),
        (["task=gsm8k", "ROWS", "grader=kind"], "grader=kind: must be one of strict, field"),
        (["task=gsm8k", "ROWS", "disagreements=5"], "disagreements=5: must be true or false"),
        (["task=gsm8k", "ROWS", "task.limit=3"], "task.limit=3: is read only for rows with an id"),
        (
            ["task=sudoku", "ROWS"],
            "no row has a gold answer of sudoku; the first: rows.jsonl line 1: no puzzle of 16",
        ),
        (["task=gsm8k", "ROWS", "+rows=3"], "rows=3: no such key"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(run, tmp_path, arguments, line):
    rows = file(tmp_path)
    code, out, err = run(*(rows if argument == "ROWS" else argument for argument in arguments))
    assert (code, out, len(err)) == (2, [], 1)
    assert line in err[0]


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ({"question": "1?", "generation": "1"}, "rows.jsonl line 2: has no column ground_truth"),
        (
            {"question": "1?", "generation": 1, "ground_truth": 1},
            "rows.jsonl line 2: the generation must be a text",
        ),
    ],
)
def test_a_row_of_another_kind_is_named(run, tmp_path, row, line):
    code, _, err = run("task=gsm8k", file(tmp_path, [ROWS[0], row]))
    assert (code, len(err)) == (2, 1)
    assert line in err[0]


def test_an_evaluations_samples_are_graded_by_their_ids(run, tmp_path):
    examples = Countdown().examples("test")[:5]
    rows = [{"id": it.id, "prompt": it.prompt, "response": it.solution} for it in examples]
    code, out, err = run("task=countdown", file(tmp_path, rows))
    assert (code, err) == (0, [])
    assert out[1].startswith("accuracy: 100.00 % [")
    code, _, err = run("task=countdown", file(tmp_path, rows), "task.limit=1")
    assert (code, len(err)) == (2, 1)
    assert "of 5 ids are unknown)" in err[0]


@pytest.mark.parametrize("identity", ["sudoku/test/1", "countdown/test/1-2-3=99", "4", "a/b/c"])
def test_an_id_of_no_example_is_named(run, tmp_path, identity):
    code, _, err = run("task=countdown", file(tmp_path, [{"id": identity, "response": ""}]))
    assert (code, len(err)) == (2, 1)
    assert f"rows.jsonl line 1: no example of task=countdown has the id '{identity}'" in err[0]
