"""One policy for all tasks and formats: a row whose question or gold answer is unusable is left out and counted."""

import csv
import json
from math import inf, nan

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dopsd.task import GSM8K, Countdown, Math500, Sudoku

GRIDS = ["1234341221434321", "2143341212344321", "1234341243212143"]
TASKS = {  # the good rows of each task, and the columns that a row cannot do without
    GSM8K: ([{"question": f"{n}?", "answer": str(n)} for n in (1, 2, 3)], ("question", "answer")),
    Math500: ([{"problem": f"{n}?", "answer": str(n)} for n in (1, 2, 3)], ("problem", "answer")),
    Countdown: ([{"numbers": f"{n},4", "target": str(n)} for n in (1, 2, 3)], ("numbers", "target")),
    Sudoku: ([{"puzzle": f"0{grid[1:]}", "solution": grid} for grid in GRIDS], ("puzzle", "solution")),
}
LONE = "\ud800 5"
TEXTS = ("question", "problem", "numbers", "puzzle")  # parquet has no NaN in a column of texts
ANYWHERE = {"null": None, "NaN": nan, "empty": "", "blank": "  ", "too long": "9" * 200_000}
IN_JSON = {
    "Infinity": inf,
    "true": True,
    "lone surrogate": LONE,
    "list": [["1"]],
    "object": {"1": 2},
    "many digits": 10**4100,
}
KINDS = [
    *(("jsonl", kind, value) for kind, value in (ANYWHERE | IN_JSON).items()),
    *(("csv", kind, value) for kind, value in ANYWHERE.items()),
    *(("parquet", kind, value) for kind, value in ANYWHERE.items()),
]
CASES = [
    (task, column, *kind)
    for task, (_, columns) in TASKS.items()
    for column in columns
    for kind in KINDS
    if not (kind[:2] == ("parquet", "NaN") and column in TEXTS)
]


def write(folder, kind, rows):
    """A test file; in parquet, a NaN stands in a column of numbers."""
    file = folder / f"test.{kind}"
    if kind == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif kind == "csv":
        with file.open("w", newline="") as opened:
            writer = csv.DictWriter(opened, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        numbers = [column for column in rows[0] if any(row[column] != row[column] for row in rows)]
        table = [row | {column: float(row[column]) for column in numbers} for row in rows]
        pq.write_table(pa.Table.from_pylist(table), file)
    return str(file)


@pytest.mark.parametrize(
    ("task", "column", "file", "kind", "value"),
    [pytest.param(*case, id=f"{case[0].name}-{case[1]}-{case[2]}-{case[3]}") for case in CASES],
)
def test_an_unusable_row_is_left_out_and_counted(tmp_path, caplog, task, column, file, kind, value):
    rows, _ = TASKS[task]
    made = task(source="files", path=write(tmp_path, file, [rows[0], rows[1] | {column: value}, rows[2]]))
    assert len(made.examples("test")) == 2
    assert made.left_out("test") == 1
    place = "row 2" if file == "parquet" else "line 3" if file == "csv" else "line 2"
    assert f"1 of 3 test rows cannot be used and are left out: test.{file} {place}: " in caplog.text
    assert len(caplog.records) == 1


@pytest.mark.parametrize("task", TASKS)
def test_good_rows_are_all_kept_without_a_word(tmp_path, caplog, task):
    rows, _ = TASKS[task]
    for file in ("jsonl", "csv", "parquet"):
        made = task(source="files", path=write(tmp_path, file, rows))
        assert (len(made.examples("test")), made.left_out("test")) == (3, 0)
    assert caplog.text == ""


@pytest.mark.parametrize(("task", "column"), [(task, column) for task in TASKS for column in TASKS[task][1]])
def test_a_column_that_a_row_lacks_is_refused_with_its_line(tmp_path, task, column):
    rows, _ = TASKS[task]
    lacking = {name: value for name, value in rows[1].items() if name != column}
    with pytest.raises(ValueError, match=rf"^task.path='[^']*': test.jsonl line 2: has no column {column}"):
        task(source="files", path=write(tmp_path, "jsonl", [rows[0], lacking]))


def test_a_row_without_a_question_is_no_problem_of_dev(tmp_path):
    rows = [{"question": f"{n}?", "answer": str(n)} for n in range(8)]
    unusable = [{"question": value, "answer": "1"} for value in (None, "", LONE, 3)]
    lines = "".join(json.dumps(row) + "\n" for row in [*unusable, *rows])
    (tmp_path / "train.jsonl").write_text(lines)
    (tmp_path / "test.jsonl").write_text(lines.splitlines()[0] + "\n" + json.dumps(rows[0]) + "\n")
    task = GSM8K(source="files", path=str(tmp_path), dev=3)
    assert {split: len(task.examples(split)) for split in ("train", "dev", "test")} == {
        "train": 4,
        "dev": 3,
        "test": 1,
    }
    assert {split: task.left_out(split) for split in ("train", "dev", "test")} == {
        "train": 4,
        "dev": 0,
        "test": 1,
    }


@pytest.mark.parametrize(("solution", "kept"), [(None, 2), ("", 2), (LONE, 1), (5, 1)])
def test_a_worked_solution_may_be_missing_but_not_broken(tmp_path, solution, kept):
    rows = [{"problem": f"{n}?", "answer": "1", "solution": "So \\boxed{1}."} for n in range(2)]
    task = Math500(source="files", path=write(tmp_path, "jsonl", [rows[0], rows[1] | {"solution": solution}]))
    assert len(task.examples("test")) == kept
    assert task.left_out("test") == 2 - kept


def test_the_hubs_puzzles_that_are_none_are_left_out_of_train(monkeypatch):
    import sys  # noqa: PLC0415
    from types import SimpleNamespace  # noqa: PLC0415

    from dopsd.task.source import hub  # noqa: PLC0415

    table = [{"target": t, "nums": [t, 1, 1]} for t in range(1, 60)] + [{"target": None, "nums": None}]
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=lambda *_, split: table))
    monkeypatch.setattr(hub, "check_reachable", lambda name: None)
    task = Countdown(source="hub", dev=5)
    assert [task.left_out(split) for split in ("train", "dev", "test")] == [1, 0, 0]
