"""A task from outside the package: a run with it is trained, evaluated, resumed, probed and graded."""

import json
import sys

import pytest
from command_line import ENTRIES, QUICK, read_json, run
from omegaconf import OmegaConf

from dopsd import grade

MODULE = """
from dopsd.task import Example, Graders, Task, Verdict

class Sums(Task):
    name = "sums"

    def __init__(self, *, size: int) -> None:
        self.size = size

    def examples(self, split):
        return [
            Example(id=f"sums/{split}/{n}", prompt=f"{n}+{n}=", solution=str(2 * n), gold=2 * n)
            for n in range(self.size)
        ]

    def verdict(self, example, response):
        right = response.strip() == str(example.gold)
        return Verdict(accepted=right, score=float(right))

def strict(gold, response):
    right = response.strip() == str(gold)
    return Verdict(accepted=right, score=float(right))

class GradedSums(Sums):
    graders = Graders(strict=strict, gold=lambda row: int(row["ground_truth"]))

def verify(response, row):
    if response == "fail":
        raise RuntimeError("as it was told")
    return len(response) % 2 == 0 or row["answer"] in response
"""
ARM = """# @package _global_
task:
  _target_: outside.sums.Sums
  size: 4
gen_length: 8
block_length: 4
denoising_steps: 4
"""
LINE = "config.yaml names outside.sums.Sums, which is not part of dopsd; trust=outside.sums allows it"


@pytest.fixture(scope="module")
def arms(tmp_path_factory):
    """The module can be imported, and its arm stands in a directory of its own."""
    there = tmp_path_factory.mktemp("outside")
    graded = ARM.replace("Sums", "GradedSums")
    files = {"outside/sums.py": MODULE, "conf/task/sums.yaml": ARM, "conf/task/graded.yaml": graded}
    for name, text in files.items():
        (there / name).parent.mkdir(parents=True, exist_ok=True)
        (there / name).write_text(text)
    sys.path.insert(0, str(there))
    yield ("--config-dir", str(there / "conf"), "task=sums")
    sys.path.remove(str(there))


@pytest.fixture(scope="module")
def runs(arms, model, tmp_path_factory):
    """A directory of two runs: one with that task, one with ours."""
    there = tmp_path_factory.mktemp("runs")
    patch = pytest.MonkeyPatch()
    for name, task in {
        "theirs": arms,
        "ours": ("task=countdown", "task.max_number=4", "task.dev=2", "task.test=2"),
    }.items():
        typed = [
            "train",
            *task,
            *QUICK,
            model,
            "model.init=random",
            "trust=outside",
            f"hydra.run.dir={there / name}",
        ]
        patch.setattr(sys, "argv", typed)
        ENTRIES["train"]()
    patch.undo()
    return there


def test_whom_to_trust_is_remembered_by_nothing(runs):
    config = OmegaConf.load(runs / "theirs" / "config.yaml")
    assert config.task._target_ == "outside.sums.Sums"
    assert config.trust is None
    assert "trust=" not in (runs / "theirs" / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("entry", "key", "more"),
    [("evaluate", "checkpoint", ()), ("probe", "checkpoint", ()), ("train", "resume", ("max_steps=2",))],
)
def test_a_run_with_it_is_taken_up_where_its_module_is_trusted(runs, tmp_path, capsys, entry, key, more):
    theirs = runs / "theirs"
    before = {file: file.read_bytes() for file in theirs.rglob("*") if file.is_file()}
    where = () if entry == "train" else (f"hydra.run.dir={tmp_path / 'out'}", "eval_limit=2")
    for trust in ((), ("trust=outside.sum",), ("trust=[outside.tasks,os]",)):
        refused = run(capsys, entry, f"{key}={theirs}", *trust, *more, *where)
        assert (refused.code, refused.err) == (2, f"dopsd: {key}={theirs}: {LINE}\n")
    assert {file: file.read_bytes() for file in theirs.rglob("*") if file.is_file()} == before
    assert list(tmp_path.iterdir()) == []
    ran = run(capsys, entry, f"{key}={theirs}", "trust=outside", *more, *where)
    assert ran.code == 0, ran.err
    left = theirs if entry == "train" else tmp_path / "out"
    assert "trust=" not in "".join(file.read_text() for file in left.rglob("config.yaml"))


def test_of_several_runs_the_others_are_evaluated(runs, tmp_path, capsys):
    evaluated = ("evaluate", f"checkpoint={runs}", "weights=final", "eval_limit=2")
    ran = run(capsys, *evaluated, f"hydra.run.dir={tmp_path / 'one'}")
    assert ran.code == 0, ran.err
    assert ran.err.count(f"left out: checkpoint={runs / 'theirs'}: {LINE}\n") == 1
    assert [row["name"] for row in read_json(tmp_path / "one" / "evaluation.json")["rows"]] == ["ours"]
    ran = run(capsys, *evaluated, "trust=outside", f"hydra.run.dir={tmp_path / 'both'}")
    assert ran.code == 0, ran.err
    assert [row["name"] for row in read_json(tmp_path / "both" / "evaluation.json")["rows"]] == [
        "ours",
        "theirs",
    ]


@pytest.fixture
def graded(tmp_path, monkeypatch, capsys):
    """What the grade command says of these rows."""

    def lines(rows, *typed):
        file = tmp_path / "rows.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        monkeypatch.setattr(sys, "argv", ["grade", *typed, f"generations={file}"])
        grade.main()
        return capsys.readouterr().out.replace(str(file), "FILE").splitlines()

    return lines


def test_its_answers_are_graded_by_its_own_verdict(arms, graded):
    out = graded([{"id": "sums/test/1", "response": "2"}, {"id": "sums/dev/2", "response": "5"}], *arms)
    assert out[0] == "sums: 2 rows of FILE"
    assert out[1].startswith("accuracy: 50.00 % [")
    assert out[1].endswith("of 2, by the task's own verdict")


def test_with_a_grader_of_its_own_so_are_rows_with_a_gold_answer(arms, graded, monkeypatch, capsys):
    arms = (*arms[:2], "task=graded")
    rows = [{"question": "", "generation": text, "ground_truth": 2} for text in ("2", "3", "4")]
    out = graded(rows, *arms)
    assert out[0] == "graded: 3 rows of FILE"
    assert out[1].startswith("accuracy: 33.33 % [")
    assert out[1].endswith("of 3, grader=strict")
    assert len(out) == 3  # there is nobody to disagree with
    with pytest.raises(SystemExit):
        graded(rows, *arms, "grader=field")
    assert capsys.readouterr().err == "dopsd: grader=field: must be one of strict\n"


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    """The overrides of a task that is a file of prompts."""
    file = tmp_path_factory.mktemp("prompts") / "prompts.jsonl"
    rows = [{"prompt": f"{n}+{n}=", "answer": str(2 * n), "response": str(2 * n)} for n in range(40)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ("task=jsonl", f"task.path={file}", "task.verifier=outside.sums.verify")


@pytest.mark.usefixtures("arms")
def test_a_file_of_prompts_is_trained_on_evaluated_resumed_and_graded(
    prompts, model, tmp_path, capsys, graded
):
    theirs = tmp_path / "theirs"
    ran = run(capsys, "train", *prompts, *QUICK, model, "model.init=random", f"hydra.run.dir={theirs}")
    assert ran.code == 0, ran.err
    there = f"hydra.run.dir={tmp_path / 'evaluated'}"
    line = "config.yaml names outside.sums.verify, which is not part of dopsd; trust=outside.sums allows it"
    for typed in (("train", f"resume={theirs}", "max_steps=2"), ("evaluate", f"checkpoint={theirs}", there)):
        refused = run(capsys, *typed)
        assert (refused.code, refused.err) == (2, f"dopsd: {typed[1]}: {line}\n")
        ran = run(capsys, *typed, "trust=outside")
        assert ran.code == 0, ran.err
    written = (tmp_path / "evaluated" / "samples.jsonl").read_text()
    samples = [json.loads(line) for line in written.splitlines()]
    rows = [{"id": sample["id"], "response": "x"} for sample in samples]
    out = graded([*rows, rows[0] | {"response": "xx"}], *prompts)
    assert out[0] == "jsonl: 3 rows of FILE"
    assert out[1].startswith("accuracy: 33.33 % [")
    with pytest.raises(SystemExit):
        graded([rows[0] | {"response": "fail"}], *prompts)
    why = "task.verifier='outside.sums.verify': raises RuntimeError (as it was told)\n"
    assert capsys.readouterr().err.endswith(why)


@pytest.mark.usefixtures("arms")
def test_a_verifier_that_fails_in_a_run_is_one_line(prompts, model, tmp_path, capsys, monkeypatch):
    import outside.sums  # noqa: PLC0415  # pyright: ignore[reportMissingImports]

    monkeypatch.setattr(outside.sums, "verify", lambda response, row: 2 if response else 0)
    ran = run(capsys, "train", *prompts, *QUICK, model, "model.init=random", f"hydra.run.dir={tmp_path}")
    assert ran.code == 2
    line = "dopsd: task.verifier='outside.sums.verify': returns 2, must be a bool or a number in 0..1"
    assert ran.err.splitlines()[-1] == line
