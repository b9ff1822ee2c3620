"""A task from outside the package: a run with it is trained, evaluated, resumed, probed and graded."""

import sys

import pytest
from command_line import ENTRIES, QUICK, read_json, run
from omegaconf import OmegaConf

from dopsd import grade

MODULE = """
from dopsd.task import Example, Task, Verdict

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
    for name, text in {"outside/sums.py": MODULE, "conf/task/sums.yaml": ARM}.items():
        (there / name).parent.mkdir(parents=True)
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


def test_its_answers_are_graded_by_its_own_verdict(arms, tmp_path, monkeypatch, capsys):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"id": "sums/test/1", "response": "2"}\n{"id": "sums/dev/2", "response": "5"}\n')
    monkeypatch.setattr(sys, "argv", ["grade", *arms, f"generations={file}"])
    grade.main()
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"sums: 2 rows of {file}"
    assert out[1].startswith("accuracy: 50.00 % [")
    assert out[1].endswith("of 2, by the task's own verdict")
