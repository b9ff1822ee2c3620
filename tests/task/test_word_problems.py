"""GSM8K and MATH: rows become examples with stable ids, worked solutions and golds; bad rows are told, not counted."""

import json

import pytest

from dopsd.task import GSM8K, SPLITS, Countdown, GSMSymbolic, Math500, Sudoku
from dopsd.task.answer import read_answer

GSM = [
    {
        "question": f"What is {n} + {n}?",
        "answer": f"It is {n}+{n}=<<{n}+{n}={2 * n}>>{2 * n}.\n#### {2 * n:,}",
    }
    for n in range(30)
]
MATH = [
    {
        "problem": f"Halve {n}.",
        "solution": f"So $\\boxed{{\\frac{{{n}}}{{2}}}}$.",
        "answer": f"\\frac{{{n}}}{{2}}",
    }
    for n in range(30)
]
MISSING = [
    (GSM8K, "gsm8k", ("train", "test")),
    (Math500, "math500", ("train", "test")),
    (Countdown, "countdown", ("test",)),
    (Sudoku, "sudoku", ("test",)),
]


def folder(path, rows, test=None):
    for name, content in (("train", rows), ("test", test or rows[:3])):
        (path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
    return str(path)


def gsm8k(tmp_path, rows=GSM[3:], **settings):
    return GSM8K(source="files", path=folder(tmp_path, rows, GSM[:3]), **{"dev": 5, **settings})


def test_examples_have_the_question_the_worked_answer_and_the_number(tmp_path):
    task = gsm8k(tmp_path)
    example = next(it for it in task.examples("train") if "What is 17 + 17?" in it.prompt)
    assert example.solution == "<reasoning>It is 17+17=34.</reasoning><answer>\\boxed{34}</answer>"
    assert example.gold == 34
    for split in SPLITS:
        assert all(task.verdict(it, it.solution).accepted for it in task.examples(split))


def test_math_solutions_are_boxed_at_their_end_alone(tmp_path):
    task = Math500(source="files", path=folder(tmp_path, MATH[3:], MATH[:3]), dev=5)
    for split in SPLITS:
        for it in task.examples(split):
            assert it.solution.count("\\boxed") == 1
            assert read_answer(it.solution) == it.gold
            assert task.verdict(it, it.solution).accepted


def test_the_last_box_is_the_answer_where_there_is_no_column_for_it(tmp_path):
    rows = [{key: row[key] for key in ("problem", "solution")} for row in MATH]
    task = Math500(source="files", path=folder(tmp_path, rows[3:], rows[:3]), dev=5)
    assert [it.gold for it in task.examples("test")] == [row["answer"] for row in MATH[:3]]


def test_ids_are_of_the_problem_not_of_its_place(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    one = gsm8k(tmp_path / "one").examples("train")
    other = gsm8k(tmp_path / "other", rows=GSM[:2:-1]).examples("train")
    assert {it.id for it in one} == {it.id for it in other}
    assert len({it.id for it in one}) == len(one)
    assert all(it.id.startswith("gsm8k/train/") for it in one)


def test_a_repeated_problem_has_an_id_of_its_own(tmp_path):
    ids = [it.id for it in gsm8k(tmp_path, rows=[*GSM[3:], *GSM[3:]]).examples("train")]
    assert len(ids) == len(set(ids)) == 2 * (27 - 5)


def test_a_limit_keeps_the_same_examples_in_any_order(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    one = [it.id for it in gsm8k(tmp_path / "one", limit=7).examples("train")]
    other = [it.id for it in gsm8k(tmp_path / "other", rows=GSM[:2:-1], limit=7).examples("train")]
    assert len(one) == 7
    assert one == other[::-1]
    assert len(gsm8k(tmp_path / "one", limit=99).examples("test")) == 3


def test_rows_without_a_readable_answer_are_left_out_and_told(tmp_path, caplog):
    rows = [*GSM[3:], {"question": "Why?", "answer": "Because."}, {"question": "When?", "answer": None}]
    task = gsm8k(tmp_path, rows=rows)
    assert len(task.examples("train")) + len(task.examples("dev")) == 27
    assert task.left_out("train") + task.left_out("dev") == 2
    assert "2 of 24 train rows cannot be used and are left out" in caplog.text
    assert "train.jsonl line 28: 'Because.' is not a number" in caplog.text


def test_a_split_without_any_readable_answer_is_an_error(tmp_path):
    (tmp_path / "test.jsonl").write_text('{"question": "Why?", "answer": "Because."}\n')
    with pytest.raises(ValueError, match=r"^task=gsm8k: 1 of 1 test rows cannot be used: [^\n]*$"):
        GSM8K(source="files", path=str(tmp_path)).examples("test")


def test_a_missing_column_is_an_error_at_once(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"^task.path='[^']*': train.jsonl line 1: has no column question \(there are problem, ",
    ):
        GSM8K(source="files", path=folder(tmp_path, MATH))


def test_a_template_is_filled_word_for_word(tmp_path):
    template = tmp_path / "prompt.txt"
    template.write_text("{question} is \\boxed{} of {what}? {question}\n")
    example = gsm8k(
        tmp_path, rows=[*GSM[3:], {"question": "{question}", "answer": "1"}], prompt_template=str(template)
    )
    prompts = [it.prompt for it in (*example.examples("train"), *example.examples("dev"))]
    assert "What is 17 + 17? is \\boxed{} of {what}? What is 17 + 17?" in prompts
    assert "{question} is \\boxed{} of {what}? {question}" in prompts


def test_a_template_is_utf8_and_its_byte_order_mark_no_part_of_the_prompt(tmp_path):
    template = tmp_path / "prompt.txt"
    template.write_bytes(b"\xef\xbb\xbf{question}\n")
    assert "What is 0 + 0?" in [
        it.prompt for it in gsm8k(tmp_path, prompt_template=str(template)).examples("test")
    ]
    for broken in (b"\xff{question}", b"\xed\xa0\x80{question}"):
        template.write_bytes(broken)
        with pytest.raises(ValueError, match=r"^task.prompt_template='[^']*': cannot be read [^\n]*$"):
            gsm8k(tmp_path, prompt_template=str(template))


@pytest.mark.parametrize("text", ["", "{Question}", "{puzzle}"])
def test_a_template_without_the_question_is_refused(tmp_path, text):
    template = tmp_path / "prompt.txt"
    template.write_text(text)
    with pytest.raises(ValueError, match=r"^task.prompt_template='[^']*': must contain \{question\}$"):
        gsm8k(tmp_path, prompt_template=str(template))
    with pytest.raises(ValueError, match=r"^task.prompt_template='[^']*nowhere': cannot be read [^\n]*$"):
        gsm8k(tmp_path, prompt_template=str(tmp_path / "nowhere"))


def test_puzzles_from_files_have_no_worked_solution(tmp_path):
    (tmp_path / "c.jsonl").write_text('{"input": "30,100,93", "output": "23"}\n')
    (tmp_path / "s.csv").write_text("Puzzle,Solution\n0000341200000000,1234341221434321\n")
    countdown = Countdown(source="files", path=str(tmp_path / "c.jsonl"))
    [example] = countdown.examples("test")
    assert (example.id, example.solution) == ("countdown/test/30-93-100=23", None)
    assert "+ - * /" in example.prompt
    assert example.prompt.endswith("Numbers: 30, 100, 93\nTarget: 23")
    assert countdown.verdict(example, "\\boxed{30 - (100 - 93)}").accepted
    sudoku = Sudoku(source="files", path=str(tmp_path / "s.csv"), grader="field")
    [example] = sudoku.examples("test")
    assert (example.id, example.solution) == ("sudoku/test/0000341200000000", None)
    assert sudoku.verdict(example, "<answer>1234</answer>").score == 4 / 12


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "disk"}, "task.source='disk': must be one of files, hub"),
        ({"source": "hub", "path": "x"}, "task.path='x': is read with task.source=files, not hub"),
        ({"source": "files"}, "task.path=null: must be a folder"),
        ({"dev": 0}, "task.dev=0: must be an integer at least 1"),
        ({"limit": 0}, "task.limit=0: must be an integer at least 1"),
        ({"grader": "kind"}, "task.grader='kind': must be one of strict, field"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(tmp_path, settings, message):
    given = {"source": "files", "path": folder(tmp_path, GSM[3:], GSM[:3]), **settings}
    if settings.get("source") == "files":
        given["path"] = None
    if settings == {"source": "disk"}:
        given["path"] = None
    with pytest.raises(ValueError, match=rf"^{message}[^\n]*$"):
        GSM8K(**given)


def test_dev_must_leave_something_to_train_on(tmp_path):
    with pytest.raises(ValueError, match=r"^task.dev=27: must be below 27, the number of train problems$"):
        gsm8k(tmp_path, dev=27).examples("train")


def test_symbolic_problems_need_their_package(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "reasoning_gym", None)
    with pytest.raises(
        ValueError, match=r"^task=gsm_symbolic: needs the package reasoning-gym, pip install [^\n]*$"
    ):
        GSMSymbolic()


def test_symbolic_problems_are_one_series_cut_in_three():
    pytest.importorskip("reasoning_gym", reason="the optional package reasoning-gym is not installed")
    task = GSMSymbolic(train=40, dev=10, test=20)
    questions = {split: {it.prompt for it in task.examples(split)} for split in SPLITS}
    assert not questions["train"] & (questions["dev"] | questions["test"])
    assert all(task.verdict(it, it.solution).accepted for split in SPLITS for it in task.examples(split))


@pytest.mark.parametrize(("task", "name", "parts"), MISSING)
def test_the_real_files_are_read_whole(real_data, task, name, parts):
    sizes = {"gsm8k": (7473, 1319), "math500": (4500, 500), "countdown": (0, 256), "sudoku": (0, 500)}[name]
    made = task(source="files", path=str(real_data / name))
    assert len(made.examples("test")) == sizes[1]
    if "train" in parts:
        train, dev = made.examples("train"), made.examples("dev")
        assert len(train) + len(dev) == sizes[0]
        assert all(made.verdict(it, it.solution).accepted for it in (*dev, *train[:500]))
    else:
        with pytest.raises(ValueError, match="has no train rows, only test"):
            made.examples("train")
