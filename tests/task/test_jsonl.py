"""A file of prompts and a verifier: splits, solutions, verdicts, and one line for everything that can be wrong."""

import json
import sys

import pytest

from dopsd.task import SPLITS, Jsonl, VerifierError

MODULE = """
NOT = 3

def verify(response, row):
    assert "prompt" not in row and "response" not in row
    return response == row["answer"]

def part(response, row):
    return len(response) / 10

def broken(response, row):
    return row["nothing"]

def words(response, row):
    return "yes"

def two(response, row):
    return 2

def nan(response, row):
    return float("nan")

def later(response, row):
    return 1 / 0 if response else 0.0
"""
ROWS = [
    {"prompt": f"Say {n}.", "answer": str(n), "tags": ["a", n], "response": f"{n}" if n % 2 else None}
    for n in range(40)
]


@pytest.fixture(autouse=True)
def _module(tmp_path, monkeypatch):
    (tmp_path / "own_verifier.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("own_verifier", None)


def write(file, rows=ROWS):
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def made(path, verifier="verify", **settings):
    return Jsonl(path=path, verifier=f"own_verifier.{verifier}", **settings)


def prompts(task):
    return {split: [it.prompt for it in task.examples(split)] for split in SPLITS}


def test_prompt_solution_and_what_the_verifier_knows_come_from_the_row(tmp_path):
    task = made(write(tmp_path / "x.jsonl"))
    example = next(it for split in SPLITS for it in task.examples(split) if it.prompt == "Say 7.")
    assert (example.solution, example.gold) == ("7", {"answer": "7", "tags": ["a", 7]})
    right, wrong, none = (task.verdict(example, response) for response in ("7", "8", " "))
    assert (right.accepted, right.score, right.word) == (True, 1.0, "correct")
    assert (wrong.accepted, wrong.score, wrong.word) == (False, 0.0, "wrong")
    assert none.word == "no_answer"
    assert {it.solution is None for it in task.examples("train")} == {True, False}


def test_a_number_is_a_score_and_right_from_a_threshold_on(tmp_path):
    path = write(tmp_path / "x.jsonl")
    for threshold, right in ((1.0, "1234567890"), (0.5, "12345")):
        task = made(path, "part", accept_score=threshold)
        example = task.examples("train")[0]
        assert task.verdict(example, right).accepted
        below = task.verdict(example, right[1:])
        assert (below.accepted, below.score) == (False, (len(right) - 1) / 10)
        assert below.metrics == {"correct": 0.0, "score": below.score}


def test_one_file_is_cut_by_shares_the_same_in_any_order_and_with_repeats(tmp_path):
    one = prompts(made(write(tmp_path / "x.jsonl"), dev_share=0.25, test_share=0.25))
    other = prompts(made(write(tmp_path / "y.jsonl", ROWS[::-1] + ROWS), dev_share=0.25, test_share=0.25))
    assert sorted(it for split in SPLITS for it in one[split]) == sorted(row["prompt"] for row in ROWS)
    for split in SPLITS:
        assert len(one[split]) >= 3
        assert sorted(other[split]) == sorted(2 * one[split])


def test_files_are_splits_by_their_names_and_train_has_nothing_of_the_others(tmp_path):
    for name, rows in (("train", ROWS), ("dev", ROWS[:5]), ("test", ROWS[5:9])):
        write(tmp_path / "d" / f"{name}.jsonl", rows)
    there = prompts(made(str(tmp_path / "d")))
    assert there == {
        "train": [row["prompt"] for row in ROWS[9:]],
        "dev": [row["prompt"] for row in ROWS[:5]],
        "test": [row["prompt"] for row in ROWS[5:9]],
    }
    (tmp_path / "d" / "dev.jsonl").unlink()
    there = prompts(made(str(tmp_path / "d"), dev_share=0.5))
    assert there["test"] == [row["prompt"] for row in ROWS[5:9]]
    assert min(len(there["dev"]), len(there["train"])) > 5
    assert len({*there["dev"], *there["train"]}) == len(there["dev"]) + len(there["train"]) == 36


def test_a_test_file_alone_can_be_evaluated_on(tmp_path):
    write(tmp_path / "d" / "test.jsonl")
    task = made(str(tmp_path / "d"))
    assert len(task.examples("test")) == 40
    with pytest.raises(ValueError, match=r"has no train rows, only test; they belong in train.jsonl$"):
        task.examples("train")


def test_one_message_of_the_user_is_a_prompt_and_other_rows_are_left_out_and_told(tmp_path, caplog):
    user, system = {"role": "user", "content": "Say 1."}, {"role": "system", "content": "Be brief."}
    rows = [{"messages": messages, "answer": "1"} for messages in ([user], [system, user], [], "Say 2.", 5)]
    write(tmp_path / "d" / "test.jsonl", rows)
    task = made(str(tmp_path / "d"))
    assert [it.prompt for it in task.examples("test")] == ["Say 1.", "Say 2."]
    assert (
        "3 of 5 test rows cannot be used and are left out: test.jsonl line 2: the messages are" in caplog.text
    )
    assert "test.jsonl line 5: the prompt is 5, not a text" in caplog.text


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"verifier": "nowhere.verify"},
            "task.verifier='nowhere.verify': must be an importable function (No ",
        ),
        ({"verifier": "verify"}, "task.verifier='verify': must be an importable function ("),
        (
            {"verifier": "own_verifier.no"},
            "task.verifier='own_verifier.no': must be an importable function (",
        ),
        (
            {"verifier": "own_verifier.NOT"},
            "task.verifier='own_verifier.NOT': must be a function, as in verify(",
        ),
        (
            {"verifier": "own_verifier.broken"},
            "task.verifier='own_verifier.broken': raises KeyError ('nothing')",
        ),
        (
            {"verifier": "own_verifier.words"},
            "task.verifier='own_verifier.words': returns 'yes', must be a bool or a number in 0..1",
        ),
        ({"verifier": "own_verifier.two"}, "task.verifier='own_verifier.two': returns 2, must be a bool or "),
        (
            {"verifier": "own_verifier.nan"},
            "task.verifier='own_verifier.nan': returns nan, must be a bool or ",
        ),
        ({"dev_share": 1.5}, "task.dev_share=1.5: must be a number in 0..1"),
        ({"dev_share": 0.5, "test_share": 0.5}, "task.dev_share=0.5: must leave train something beside "),
        ({"accept_score": 2}, "task.accept_score=2: must be a number in 0..1"),
        (
            {"path": "nowhere"},
            "task.path='nowhere': must be a file, or a folder with train or dev or test files (",
        ),
        ({"rows": [{"answer": "1"}]}, "x.jsonl line 1: has no column prompt or messages (there are answer)"),
        (
            {"rows": [ROWS[0], {"prompts": "1"}]},
            "x.jsonl line 2: has no column prompt or messages (there are ",
        ),
        ({"rows": []}, "x.jsonl: has no rows"),
    ],
)
def test_a_mistake_is_one_line_when_the_task_is_made(tmp_path, settings, line):
    path = write(tmp_path / "x.jsonl", settings.pop("rows", ROWS))
    given = {"path": path, "verifier": "own_verifier.verify"} | settings
    with pytest.raises(ValueError, match=r"^task\.[^\n]*$") as refused:
        Jsonl(**given)
    assert type(refused.value) is ValueError
    assert line in str(refused.value)


def test_a_verifier_that_fails_later_says_so_in_one_line(tmp_path):
    task = made(write(tmp_path / "x.jsonl"), "later")
    with pytest.raises(
        VerifierError, match=r"^task.verifier='own_verifier.later': raises ZeroDivisionError "
    ):
        task.verdict(task.examples("train")[0], "something")


def test_a_share_too_small_for_one_row_is_said(tmp_path):
    task = made(write(tmp_path / "x.jsonl"), dev_share=0)
    with pytest.raises(
        ValueError,
        match=r"^task.path='[^']*': of 40 rows none falls into dev \(task.dev_share=0\); dev.jsonl",
    ):
        task.examples("dev")
