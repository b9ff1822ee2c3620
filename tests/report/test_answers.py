"""An earlier evaluation's answers are read back as they were written, or refused with file and line."""

import json

import pytest

from dopsd.report.answers import Answers

GOOD = {
    "id": "gsm8k/test/1",
    "weights": "best",
    "training_step": 1,
    "metric": "exact",
    "metrics": {"exact": 1.0},
}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": None}, "the id in samples.jsonl line 2 is null, not a text"),
        ({"id": ""}, "the id in samples.jsonl line 2 is empty"),
        ({"metrics": None}, "samples.jsonl line 2: metrics None must be numbers"),
        ({"metrics": {"exact": float("nan")}}, "samples.jsonl line 2: metrics {[^}]*} must be numbers"),
    ],
)
def test_a_row_that_is_no_answer_is_refused(tmp_path, row, message):
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(it) + "\n" for it in (GOOD, GOOD | row)))
    with pytest.raises(ValueError, match=rf"^{message}[^\n]*$"):
        Answers.read(tmp_path, "best")


def test_a_byte_order_mark_is_no_part_of_the_answers(tmp_path):
    (tmp_path / "samples.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode())
    assert Answers.read(tmp_path, "best").scores.accuracy.n == 1
