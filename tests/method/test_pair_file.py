"""Pairs from a file: which are drawn, and what is refused before anything is loaded."""

import json
from pathlib import Path

import pytest
from command_line import QUICK, run
from fakes import CHAT, JudgeTask
from hydra import compose, initialize_config_dir
from small_run import DRAWS

from dopsd.config.build import build
from dopsd.entry.composing import CONF
from dopsd.method.pair_file import FilePairs
from dopsd.stream import Draw

TASK = JudgeTask(lambda response, gold: 0.0)
GOOD = {"id": "judge-1", "chosen": "abc", "rejected": "b"}


def pairs_in(file: Path, *rows: object) -> FilePairs:
    """The source for a file of these rows."""
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return FilePairs(path=str(file), gen_length=12, block_length=4)


def test_a_pair_is_a_text_against_another_one(tmp_path: Path) -> None:
    long = {"id": "judge-2", "chosen": "a" * 12, "rejected": "b"}  # with its end it does not fit
    source = pairs_in(tmp_path / "pairs.jsonl", long, GOOD, {**GOOD, "id": "judge-4"})
    source.check(TASK, None)
    answers = source.answers(DRAWS, None, chat=CHAT, seed=0)
    assert answers.too_long == 1
    assert answers.prompt[answers.pairs.chosen].tolist() == [1, 4]
    assert answers.prompt[answers.pairs.refused].tolist() == [1, 4]
    assert CHAT.responses(answers.trajectory.tokens[answers.pairs.chosen]) == ["abc", "abc"]
    assert CHAT.responses(answers.trajectory.tokens[answers.pairs.refused]) == ["b", "b"]
    assert len(answers.keys.unique()) == 4
    nothing = source.answers(DRAWS[:1], None, chat=CHAT, seed=0)
    assert (len(nothing.pairs), len(nothing.trajectory)) == (0, 0)


def test_one_of_several_pairs_is_drawn_whole(tmp_path: Path) -> None:
    rows = [{"id": "judge-1", "chosen": letter, "rejected": letter * 2} for letter in "abc"]
    source = pairs_in(tmp_path / "pairs.jsonl", *rows)
    draws = [Draw(example=DRAWS[1].example, number=number) for number in range(90)]
    answers = source.answers(draws, None, chat=CHAT, seed=0)
    texts = CHAT.responses(answers.trajectory.tokens)
    chosen, refused = (
        [texts[row] for row in rows.tolist()] for rows in (answers.pairs.chosen, answers.pairs.refused)
    )
    assert refused == [text * 2 for text in chosen]
    assert all(chosen.count(letter) > 15 for letter in "abc")
    again = source.answers(draws[40:], None, chat=CHAT, seed=0)
    assert CHAT.responses(again.trajectory.tokens) == texts[80:]


BROKEN = {
    "unknown id": (
        [{**GOOD, "id": "nobody"}, GOOD],
        "no training example of task=countdown has the id 'nobody'",
    ),
    "no key": ([{"id": "x", "chosen": "a"}], "line 1: has no column rejected (there are id, chosen)"),
    "empty": ([GOOD, {**GOOD, "chosen": " "}], "line 2: the chosen is empty"),
    "no text": ([{**GOOD, "rejected": 3}], "line 1: the rejected is 3, not a text"),
    "equal": ([{**GOOD, "rejected": "abc"}], "line 1: chosen and rejected are the same text"),
    "no object": ([[1]], "line 1: is not a JSON object"),
    "no rows": ([], "has no rows"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_one_line_before_anything_is_loaded(
    kind: str,
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, line = BROKEN[kind]
    pairs_in(tmp_path / "pairs.jsonl", *rows)
    monkeypatch.chdir(tmp_path)
    ran = run(
        capsys, "train", "method=vrpo", "pairs=files", "pairs.path=pairs.jsonl", model, "model.init=random"
    )
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), ran.err
    assert ran.err.startswith("dopsd: pairs.path=pairs.jsonl: ")
    assert line in ran.err
    assert [file.name for file in tmp_path.iterdir()] == ["pairs.jsonl"]


def test_a_run_on_a_files_pairs_samples_nothing(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    puzzles = ("task.max_number=4", "task.dev=2", "task.test=2")
    with initialize_config_dir(CONF, version_base="1.3"):
        examples = build(compose("train", list(puzzles)), "task").examples("train")
    rows = [{"id": it.id, "chosen": "1+2", "rejected": "2"} for it in examples]
    file = tmp_path / "pairs.jsonl"
    pairs_in(file, *rows)
    given = ("method=vrpo", "pairs=files", f"pairs.path={file}", model, "model.init=random", *puzzles)
    ran = run(capsys, "train", *QUICK, *given, f"hydra.run.dir={tmp_path / 'run'}")
    assert ran.code == 0, ran.err
    header, *_, row = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    logged = dict(zip(header.split(","), row.split(","), strict=True))
    assert float(logged["train/examples"]) == 2
    assert "rollout/length" not in logged
