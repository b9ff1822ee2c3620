"""A run on W&B, read back from its offline files: one run however often it is resumed; a logger may fail."""

import csv
import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import QUICK, SHORT, read_json, run
from lightning.pytorch.loggers import CSVLogger

from dopsd.callbacks.guarded_logger import GuardedLogger
from dopsd.job.found_runs import find_runs
from dopsd.job.loggers import log_probe
from dopsd.probes.overlap_finding import OverlapFinding
from dopsd.probes.verification_finding import VerificationFinding

SMALL_TASK = ("task.max_number=4", "task.dev=2", "task.test=2", "model.init=random")


def records(directory: Path) -> list[dict[str, Any]]:
    """What W&B's own reader finds in an offline run."""
    command = [str(Path(sys.executable).with_name("wandb")), "leet", "inspect", "--json", str(directory)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


def of_kind(kind: str, read: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record[kind] for record in read if record["type"] == kind]


def test_a_resumed_run_is_one_run_with_its_results(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("HOME", "/proc")  # nothing can be written there
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    directory = tmp_path / "sweep" / "job"
    directory.parent.mkdir()
    (directory.parent / "multirun.yaml").touch()
    where = f"hydra.run.dir={directory}"
    ran = run(capsys, "train", *QUICK, *SMALL_TASK, model, "logger=wandb", where)
    assert (ran.code, "WARNING" in ran.err) == (0, False), ran.err
    assert run(capsys, "train", f"resume={directory}", "max_steps=2").code == 0
    assert not {"WANDB_DATA_DIR", "WANDB_CACHE_DIR"} & os.environ.keys()

    first, second = map(records, sorted((directory / "wandb").glob("offline-run-*")))
    runs = [of_kind("run", read)[0] for read in (first, second)]
    assert runs[0]["run_id"] == runs[1]["run_id"]
    assert (runs[0]["display_name"], runs[0]["run_group"], runs[0]["job_type"]) == ("job", "sweep", "train")
    assert set(runs[0]["tags"]) == {"method=dopsd", "task=countdown", "model=tiny"}
    assert "training_step" in [metric.get("step_metric") for metric in of_kind("metric", first)]
    rows = [row["item"] for row in of_kind("history", first)]
    assert {row["training_step"] for row in rows if "eval/accuracy" in row} == {0, 1}
    config = json.dumps([record for record in first if record["type"] in ("run", "config")])
    assert "retain_ratio" in config
    assert "${" not in config
    summary = read_json(directory / "summary.json")
    logged: dict[str, Any] = {}
    for update in of_kind("summary", second):
        logged |= update.get("update", {})
    found = json.dumps(logged)
    for weights in ("base", "best", "final"):
        assert f"test/{weights}/accuracy" in found
    assert logged["test/final/accuracy"] == summary["final"]["accuracy"]
    assert '"arm": "method=dopsd debug=fast_dev_run' in config

    shutil.copytree(directory / "wandb", tmp_path / "copied")  # all that is left of a run: a report reads it
    ((copied,),) = (find_runs([tmp_path / "copied"]).runs,)
    assert (copied.state, copied.arms["task"]) == ("done", "countdown")
    assert copied.results["final"].accuracy == summary["final"]["accuracy"]
    steps = [int(row["budget/training_steps"]) for row in copied.curve]
    assert (steps, [row["step"] for row in copied.curve]) == ([0, 1, 2], [0, 1, 2])


def test_an_evaluation_is_logged(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    there = tmp_path / "evaluation"
    typed = (*SHORT, *SMALL_TASK, model, "eval_limit=2", "logger=wandb", f"hydra.run.dir={there}")
    ran = run(capsys, "evaluate", *typed)
    assert (ran.code, "WARNING" in ran.err) == (0, False), ran.err
    (folder,) = (there / "wandb").glob("offline-run-*")
    read = records(folder)
    assert of_kind("run", read)[0]["job_type"] == "evaluate"
    logged: dict[str, Any] = {}
    for update in of_kind("summary", read):
        logged |= update.get("update", {})
    (row,) = read_json(there / "evaluation.json")["rows"]
    assert (logged["evaluation/accuracy"], logged["evaluation/n"]) == (row["accuracy"], 2)
    assert list(folder.glob("files/media/table/evaluation/samples*.table.json"))


def test_the_curves_of_a_probe_are_logged_point_by_point(tmp_path: Path) -> None:
    overlap = OverlapFinding(
        top_k=2, asked=3, seed=0, overlaps={"suffix": np.array([[0.5, np.nan, 0.25], [1.0, np.nan, 0.75]])}
    )
    right, none = torch.tensor([True, False]), torch.tensor([False, False])
    verification = VerificationFinding(
        rhos=(0.0, 0.5),
        max_attempts=4,
        has_answer=right,
        first_try=none,
        shown_answer=torch.stack([none, right]),
        shown_first_try=torch.stack([none, none]),
    )
    logged = {}
    for name, finding in {"overlap": overlap, "verification": verification}.items():
        logger = GuardedLogger(
            partial(CSVLogger, tmp_path, name=name, version=0), title="csv", say=pytest.fail
        )
        log_probe([logger], finding.figures(), tmp_path / "probe.png")
        with (tmp_path / name / "version_0" / "metrics.csv").open() as lines:
            (row,) = csv.DictReader(lines)
        logged |= {key.removeprefix("probe/"): float(value) for key, value in row.items()}
    steps = [key for key in logged if key.startswith("teachers/suffix/by_step/") and key.endswith("/mean")]
    assert {key.split("/")[3]: logged[key] for key in steps} == {"0": 0.75, "2": 0.5}  # none at step 1
    assert logged["teachers/suffix/overall/n"] == 2
    shown = "curves/shown_accepted_answer"
    assert [logged[f"{shown}/{i}/accuracy"] for i in range(2)] == [0.0, 0.5]
    assert [logged[f"rhos/{i}"] for i in range(2)] == [0.0, 0.5]


@pytest.mark.parametrize("failing", ["__init__", "log_metrics", "log_hyperparams"])
def test_a_run_goes_on_without_a_logger_that_fails(
    failing: str,
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError("no space left\non the device")

    monkeypatch.setattr(CSVLogger, failing, fail)
    logger = ("+logger._target_=lightning.pytorch.loggers.CSVLogger",)
    ran = run(capsys, "train", *QUICK, *SMALL_TASK, model, *logger, f"hydra.run.dir={tmp_path / 'run'}")
    assert ran.code == 0, ran.err
    assert [line for line in ran.err.splitlines() if "WARNING" in line] == [
        "WARNING: logger=csv failed, the run goes on without it (OSError: no space left on the device)"
    ]
    assert read_json(tmp_path / "run" / "summary.json")["optimizer_steps"] == 1
