"""An earlier evaluation's answers are read back as they were written, or refused with file and line."""

import json

import pytest

from dopsd.report.answers import read_shares

GOOD = {"id": "gsm8k/test/1", "verdict": "correct"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": None, "verdict": "wrong"}, "the id in samples.jsonl line 2 is null, not a text"),
        ({"id": "", "verdict": "wrong"}, "the id in samples.jsonl line 2 is empty"),
        ({"id": "a", "verdict": None}, "samples.jsonl line 2: verdict None must be one of"),
        ({"id": "a"}, "samples.jsonl line 2: has no column verdict"),
    ],
)
def test_a_row_that_is_no_answer_is_refused(tmp_path, row, message):
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(it) + "\n" for it in (GOOD, row)))
    with pytest.raises(ValueError, match=rf"^{message}[^\n]*$"):
        read_shares(tmp_path)


def test_a_byte_order_mark_is_no_part_of_the_answers(tmp_path):
    (tmp_path / "samples.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode())
    assert read_shares(tmp_path) == {"gsm8k/test/1": 1.0}
