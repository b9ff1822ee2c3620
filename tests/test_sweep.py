"""A sweep ends in one table: seeds are pooled, what did not end is named; equal base answers are decoded once."""

import csv
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import QUICK, read_json, run

from dopsd.config.errors import UserError
from dopsd.config.sweep_list import SweepJob
from dopsd.evaluation.interval import Interval
from dopsd.job import Examiner, Student
from dopsd.job.sweep import leave_sweep_table
from dopsd.report.runs.run import ENDED

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
    jobs = [
        SweepJob(directory=f"{rho},{seed}", overrides=["lr=1", f"rho={rho}", f"seed={seed}"])
        for rho in (0.1, 0.5)
        for seed in "12"
    ]
    jobs.append(SweepJob(directory="2", overrides=["lr=1", "rho=2", "seed=1"], refused="rho=2: must be less"))
    finished_job(tmp_path / "0.1,1", ANSWERS["1"])
    finished_job(tmp_path / "0.1,2", ANSWERS["2"])
    finished_job(tmp_path / "0.5,1", ANSWERS["1"], nothing_learnt="nothing was learnt")
    leave_sweep_table(tmp_path, jobs)

    first, second, refused = read_json(tmp_path / "sweep.json")["settings"]
    pooled = Interval.of_seeds([[float(it) for it in ANSWERS[seed]] for seed in "12"])
    assert (first["setting"], first["seeds"], first["final"]) == ("rho=0.1", ["1", "2"], vars(pooled))
    assert second["final"] == vars(Interval.of(2, 4))
    assert second["not_done"] == {"1": "nothing learnt", "2": "not started"}
    assert (refused["not_done"], refused["final"]) == ({"1": "refused"}, None)
    out = capsys.readouterr().out
    assert str(pooled).split()[0] in out
    assert "\n2: refused; rho=2: must be less\n" in out
    lines = (tmp_path / "sweep.md").read_text().splitlines()
    assert lines[2] == f"| rho=0.1 | 1, 2 | {pooled} | {pooled} | {pooled} |"
    assert lines[-2:] == ["", "2: refused; rho=2: must be less"]
    assert lines[3].startswith("| rho=0.5 | 1: nothing learnt, 2: not started | 50.0 % [")


def test_a_sweep_decodes_equal_base_answers_once(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded, examine = [], Examiner.__call__

    def examined(self: Examiner, student: Any, split: str, title: str, **named: Any) -> Any:
        decoded.append(title)
        return examine(self, student, split, title, **named)

    monkeypatch.setattr(Examiner, "__call__", examined)
    monkeypatch.chdir(tmp_path)  # where files come and go while the sweep runs
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


def test_a_job_that_fails_or_cannot_be_ends_neither_the_sweep_nor_its_table(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load = Student.load

    def failing(plan: Any) -> Student:
        if plan.settings.seed == 1:
            raise UserError("model: the weights are torn")
        return load(plan)

    sweep = tmp_path / "sweep"
    typed = (*QUICK, *PUZZLES[:-2], model, "model.init=random", f"hydra.sweep.dir={sweep}")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Student, "load", failing)
        ran = run(capsys, "train", "--multirun", "rho=0.25,1.5", "seed=1,2", *typed)
    assert ran.code == 2
    said = [line for line in ran.err.splitlines() if line.startswith("dopsd: ")]
    refusal, failure = "rho=1.5: must be a number from 0 to 1", "model: the weights are torn"
    assert said == [
        f"dopsd: {failure}; the sweep goes on",
        *[f"dopsd: left out, it cannot be run: {refusal}"] * 2,
        f"dopsd: {failure}",
    ]
    states = {
        it["directory"]: (it["state"], it.get("note")) for it in read_json(sweep / "sweep.json")["jobs"]
    }
    refused = {f"rho=1.5,seed={seed}": ("refused", refusal) for seed in "12"}
    assert states.pop("rho=0.25,seed=2")[0] in ENDED
    assert states == refused | {"rho=0.25,seed=1": ("failed", f"before the first step; {failure}")}
    assert "rho=0.25,seed=1: failed; " in ran.out
    assert sorted(it.name for it in sweep.glob("rho*")) == ["rho=0.25,seed=1", "rho=0.25,seed=2"]

    ran = run(capsys, "train", f"resume={sweep}")
    assert ran.code == 0, ran.err
    states = {it["directory"]: it["state"] for it in read_json(sweep / "sweep.json")["jobs"]}
    assert all(state in ENDED or "1.5" in name for name, state in states.items())


def test_a_search_that_was_cut_off_says_how_it_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lr=1").mkdir()
    (tmp_path / "lr=1" / "config.yaml").touch()
    ran = run(capsys, "train", f"resume={tmp_path}")
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert ran.err.startswith(
        f"dopsd: resume={tmp_path}: must be a run's directory, or that of a sweep with its"
    )
    assert f"its own command and hydra.sweep.dir={tmp_path}, if hydra.sweeper.storage keeps" in ran.err


@pytest.mark.parametrize(
    ("typed", "extra"),
    [
        ("hydra/launcher=joblib", "launchers"),
        ("hydra/launcher=submitit_slurm", "launchers"),
        ("hydra=search", "optuna"),
    ],
)
def test_an_arm_of_a_package_that_is_not_here_names_the_extra(
    typed: str, extra: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = {"joblib": "joblib_launcher", "submitit_slurm": "submitit_launcher", "search": "optuna_sweeper"}
    if find_spec("hydra_plugins") and find_spec(f"hydra_plugins.hydra_{plugin[typed.partition('=')[2]]}"):
        pytest.skip(f"{extra} is installed")
    ran = run(capsys, "train", "--multirun", "seed=1,2", typed)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert ran.err.endswith(f'needs another package (pip install "dopsd[{extra}]")\n')


def test_joblib_takes_the_jobs_to_processes_of_its_own(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    sweep = tmp_path / "sweep"
    typed = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=1,2", f"hydra.sweep.dir={sweep}")
    ran = run(capsys, "train", "--multirun", *QUICK, *PUZZLES, model, *typed)
    assert ran.code == 0, ran.err
    jobs = read_json(sweep / "sweep.json")["jobs"]
    assert [(job["directory"], job["state"] in ENDED) for job in jobs] == [("seed=1", True), ("seed=2", True)]
    assert "2 jobs, accuracy on test" in ran.out


@pytest.mark.filterwarnings("ignore")  # of Optuna's own
def test_optuna_looks_for_the_best_on_dev(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    sweep = tmp_path / "sweep"
    typed = ("hydra=search", "hydra.sweeper.n_trials=2", "rho=choice(0.25,0.5)", f"hydra.sweep.dir={sweep}")
    ran = run(capsys, "train", "--multirun", *QUICK, *PUZZLES[:-1], model, "seed=1", *typed)
    assert ran.code == 0, ran.err
    results = yaml.safe_load((sweep / "optimization_results.yaml").read_text())
    best = [
        max(float(row["eval/accuracy"] or 0) for row in rows(file)) for file in sweep.glob("*/metrics.csv")
    ]
    assert (len(best), results["best_value"]) == (2, max(best))
    assert results["best_params"].keys() == {"lr", "rho", "temperature"}
    assert len(read_json(sweep / "sweep.json")["jobs"]) == 2
    (sweep / "sweep.yaml").unlink()  # as a kill leaves it
    one_more = ("hydra=search", "hydra.sweeper.n_trials=1", *typed[2:])
    ran = run(capsys, "train", "--multirun", *QUICK, *PUZZLES[:-1], model, "seed=1", *one_more)
    assert ran.code == 0, ran.err
    assert len(read_json(sweep / "sweep.json")["jobs"]) == 3
    assert yaml.safe_load((sweep / "optimization_results.yaml").read_text())["best_value"] >= max(best)


def rows(file: Path) -> list[dict[str, str]]:
    with file.open() as lines:
        return list(csv.DictReader(lines))
