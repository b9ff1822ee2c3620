"""Responses from a file: whose they are, how they are learnt, and what is refused before anything is loaded."""

import json
import re
from pathlib import Path

import pytest
from fakes import CHAT, JudgeTask, TinyNetwork
from small_run import Study, shared

from dopsd.method.text_sft import ResponseFile, TextSFT
from dopsd.stream import Draw

TASK = JudgeTask(lambda response, gold: 0.0)
GOOD = {"id": "judge-1", "response": "abc"}
COLUMNS = {"id": "id", "response": "response"}


def responses_in(file: Path, *rows: object) -> ResponseFile:
    """The source for a file of these rows."""
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return ResponseFile(path=str(file))


@pytest.mark.parametrize("name", ["mine.jsonl", "mine.csv"])
def test_each_row_is_an_example_of_its_own_with_the_prompt_of_its_id(name: str, tmp_path: Path) -> None:
    rows = [{"id": "judge-4", "response": "b"}, GOOD, {"id": "judge-4", "response": "c"}]
    source = responses_in(tmp_path / name, *rows)
    if name.endswith(".csv"):
        (tmp_path / name).write_text("".join(f"{it['id']},{it['response']}\n" for it in [COLUMNS, *rows]))
    source.check(TASK)
    examples, known = source.examples(TASK), TASK.examples("train")
    assert [example.solution for example in examples] == ["b", "abc", "c"]
    assert [example.prompt for example in examples] == [known[4].prompt, known[1].prompt, known[4].prompt]


def test_it_is_what_is_learnt_and_what_does_not_fit_is_counted(tmp_path: Path) -> None:
    source = responses_in(tmp_path / "mine.jsonl", GOOD, {"id": "judge-2", "response": "a" * 12})
    options = {"source": source, "gen_length": 12, "form": "exact_count", "tail": "trained", "task": TASK}
    method = TextSFT(**shared(network=TinyNetwork(3), **options))
    draws = [Draw(example=example, number=i) for i, example in enumerate(method.training_examples())]
    study = Study(method, draws)
    assert study.logged("sft/too_long") == [1]
    assert study.logged("train/examples") == [1]
    method.log_step = lambda values: None
    responses = method.responses(draws, CHAT.prompts(draw.example for draw in draws))
    assert CHAT.responses(responses.tokens) == ["abc"]


BROKEN = {
    "unknown id": ([GOOD, {**GOOD, "id": "x"}], "line 2: no training example of task=judge has the id 'x'"),
    "no column": ([{"id": "judge-1"}], "line 1: has no column response (there are id)"),
    "empty": ([GOOD, {**GOOD, "response": " "}], "line 2: the response is empty"),
    "no text": ([{**GOOD, "response": 3}], "line 1: the response is 3, not a text"),
    "no object": ([[1]], "line 1: is not a JSON object"),
    "no rows": ([], "has no rows"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_row_that_cannot_be_used_is_refused_with_its_place(name: str, tmp_path: Path) -> None:
    rows, line = BROKEN[name]
    source = responses_in(tmp_path / "mine.jsonl", *rows)
    with pytest.raises(
        ValueError, match=f"^{re.escape(f'source.path={source.path!r}: ')}.*{re.escape(line)}"
    ):
        source.check(TASK)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (None, "source.path=null: must be a file (jsonl, csv, parquet)"),
        ("/nowhere/a.jsonl", "/nowhere/a.jsonl"),
    ],
)
def test_there_must_be_a_file(path: str | None, line: str) -> None:
    with pytest.raises(ValueError, match=re.escape(line)):
        ResponseFile(path=path).check(TASK)
