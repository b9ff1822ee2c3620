"""A sweep ends in one table: seeds are pooled, what did not end is named; equal base answers are decoded once."""

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import QUICK, read_json, run

from dopsd.evaluation.interval import Interval
from dopsd.job import Examiner
from dopsd.job.sweep import leave_sweep_table

PUZZLES = ("task.max_number=4", "task.dev=2", "task.test=2", "model.init=random", "model.seed=3")
ANSWERS = {"1": [True, True, False, False], "2": [True, False, False, False]}


def finished_job(directory: Path, right: list[bool], **more: Any) -> None:
    """The files of a run whose weights all give these answers."""
    figures = vars(Interval.of(sum(right), len(right)))
    (directory / "samples").mkdir(parents=True)
    (directory / "config.yaml").touch()
    for weights in ("base", "best", "final"):
        metrics = [{"correct": float(is_right)} for is_right in right]
        whose = {"weights": weights, "training_step": 0, "metric": "correct"}
        rows = [whose | {"id": str(i), "metrics": of} for i, of in enumerate(metrics)]
        file = directory / "samples" / f"{weights}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    content = dict.fromkeys(("base", "best", "final"), figures) | more
    (directory / "summary.json").write_text(json.dumps(content))


def test_seeds_are_pooled_and_what_did_not_end_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [(f"{rho},{seed}", ["lr=1", f"rho={rho}", f"seed={seed}"]) for rho in (0.1, 0.5) for seed in "12"]
    finished_job(tmp_path / "0.1,1", ANSWERS["1"])
    finished_job(tmp_path / "0.1,2", ANSWERS["2"])
    finished_job(tmp_path / "0.5,1", ANSWERS["1"], nothing_learnt="nothing was learnt")
    leave_sweep_table(tmp_path, jobs)

    first, second = read_json(tmp_path / "sweep.json")["settings"]
    pooled = Interval.of_seeds([[float(it) for it in ANSWERS[seed]] for seed in "12"])
    assert (first["setting"], first["seeds"], first["final"]) == ("rho=0.1", ["1", "2"], vars(pooled))
    assert second["final"] == vars(Interval.of(2, 4))
    assert second["not_done"] == {"1": "nothing learnt", "2": "not started"}
    assert str(pooled).split()[0] in capsys.readouterr().out
    lines = (tmp_path / "sweep.md").read_text().splitlines()
    assert lines[2] == f"| rho=0.1 | 1, 2 | {pooled} | {pooled} | {pooled} |"
    assert lines[3].startswith("| rho=0.5 | 1: nothing learnt, 2: not started | 50.0 % [")


def test_a_sweep_decodes_equal_base_answers_once(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded, examine = [], Examiner.__call__

    def examined(self: Examiner, student: Any, split: str, title: str, **named: Any) -> Any:
        decoded.append(title)
        return examine(self, student, split, title, **named)

    monkeypatch.setattr(Examiner, "__call__", examined)
    swept = ("seed=1,2", "eval_limit=1,2", f"hydra.sweep.dir={tmp_path / 'sweep'}")
    ran = run(capsys, "train", "--multirun", *QUICK[:-2], *PUZZLES, model, "max_steps=1", *swept)
    assert ran.code == 0, ran.err
    assert decoded.count("base, test") == 2  # not once a seed, but for each number of examples
    headers = [line for line in ran.err.splitlines() if line.startswith("job ")]
    assert [line.partition(" (")[0] for line in headers] == [
        f"job {i + 1} of 4: seed={seed} eval_limit={limit}"
        for i, (seed, limit) in enumerate((s, n) for s in (1, 2) for n in (1, 2))
    ]
    settings = read_json(tmp_path / "sweep" / "sweep.json")["settings"]
    assert [(row["setting"], row["seeds"]) for row in settings] == [
        ("eval_limit=1", ["1", "2"]),
        ("eval_limit=2", ["1", "2"]),
    ]
    bases = {read_json(file)["base"]["n"] for file in (tmp_path / "sweep").glob("*/summary.json")}
    assert bases == {1, 2}

    (tmp_path / "sweep" / "sweep.json").unlink()  # a resumed sweep ends with its table, too
    ran = run(capsys, "train", f"resume={tmp_path / 'sweep'}")
    assert ran.code == 0, ran.err
    assert "4 jobs, accuracy on test" in ran.out
    assert read_json(tmp_path / "sweep" / "sweep.json")["settings"] == settings
