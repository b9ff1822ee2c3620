"""The probe entry: the files that each probe leaves, and that it takes up a run's weights."""

from pathlib import Path

import pytest
from command_line import QUICK, SHORT, read_json, run
from PIL import Image

from dopsd.report.manifest import git_revision

PUZZLES = ("task.max_number=4", "task.dev=4", "task.test=3")


def probed(capsys: pytest.CaptureFixture[str], directory: Path, *typed: str) -> tuple[dict, str]:
    ran = run(capsys, "probe", *SHORT, *typed, f"hydra.run.dir={directory}")
    assert ran.code == 0, ran.err
    with Image.open(directory / "probe.png") as image:
        assert image.size[0] > 600
    assert {file.name for file in directory.iterdir()} == {
        "config.yaml",
        "probe.json",
        "probe.md",
        "probe.png",
    }
    found = read_json(directory / "probe.json")
    assert found["git"] == git_revision()
    assert found["wall_s"] > 0
    return found, ran.out


def test_toy_verification(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, out = probed(capsys, tmp_path / "run", model, "model.init=random", "probe.rhos=[0.5]", *PUZZLES)
    assert (found["probe"], found["task"], found["split"]) == ("toy_verification", "countdown", "dev")
    assert (found["asked"], found["rhos"]) == (4, [0.0, 0.5])
    assert found["pass_at_1"].keys() == {"accuracy", "low", "high", "n"}
    assert "pass@1" in out
    assert "rho = 0.5" in out


def test_overlap_whatever_the_batch_size(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = (model, "model.init=random", "probe=overlap", "learning.learn_from=all", *PUZZLES)
    found, out = probed(capsys, tmp_path / "whole", *typed)
    assert (found["probe"], found["asked"], found["learnt_from"]) == ("overlap", 4, 4)
    assert found["teachers"].keys() == {"suffix", "ar_prefix"}
    assert found["top_k"] == 20
    assert "AR-prefix teacher" in out
    parts, _ = probed(capsys, tmp_path / "parts", *typed, "eval_batch_size=3")
    assert parts["teachers"] == found["teachers"]


def test_drift_whatever_the_batch_size(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = (model, "model.init=random", "probe=drift", *PUZZLES)
    found, out = probed(capsys, tmp_path / "whole", *typed)
    assert (found["probe"], found["asked"]) == ("drift", 4)
    ways = ["threshold 0.9", "prefix cache", "dual cache", "threshold 0.9, dual cache"]
    assert list(found["ways"]) == ["exact", *ways, "exact, another seed"]
    assert "prefix" in out
    parts, _ = probed(capsys, tmp_path / "parts", *typed, "eval_batch_size=3")
    for way, figures in found["ways"].items():
        for key in ("accepted", "differing", "forwards"):
            assert parts["ways"][way][key] == figures[key]


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (
            "probe.ways=[{cache: suffix}]",
            "probe.ways=[{cache: suffix}]: must be a list of {threshold: a number above 0 ",
        ),
        ("probe.ways=[{threshold: 2}]", "cache: one of prefix, dual or null}"),
        ("probe.ways=[{}]", "must be different ways, each with a threshold, a cache or both"),
        ("temperature=0", "temperature=0: must be above 0"),
        ("cfg_scale=1", "cache=prefix: needs cfg_scale=0, not 1.0"),
        ("max_attempts=3", "max_attempts=3: probe=drift does not read it"),
    ],
)
def test_what_drift_cannot_do_is_said_in_one_line(
    typed: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = run(capsys, "probe", "probe=drift", typed, f"hydra.run.dir={tmp_path / 'run'}")
    assert ran.code == 2
    assert line in ran.err
    assert ran.err.count("\n") == 1


def test_every_job_of_a_sweep_is_checked_before_the_first_one(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ("probe.rhos=[0.5],[2]", f"hydra.sweep.dir={tmp_path / 'sweep'}")
    ran = run(capsys, "probe", "--multirun", *SHORT, model, "model.init=random", *sweep, *PUZZLES)
    assert ran.code == 2
    assert ran.err.startswith("dopsd: probe.rhos=[2]: ")
    assert ran.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_accepted_answers_says_so(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = f"hydra.run.dir={tmp_path / 'run'}"
    ran = run(capsys, "probe", *SHORT, model, "model.init=random", "probe=overlap", *PUZZLES, where)
    assert ran.code == 2
    assert "split=dev: none of 4 prompts had an accepted answer in 8 tries" in ran.err
    assert not (tmp_path / "run").exists()


def test_the_weights_of_a_run(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained = tmp_path / "trained"
    typed = ("model.init=random", *PUZZLES, "lr=1")
    ran = run(capsys, "train", *QUICK, model, *typed, f"hydra.run.dir={trained}")
    assert ran.code == 0, ran.err
    typed = ("probe=overlap", "learning.learn_from=all", "rho=0", f"checkpoint={trained}", "weights=final")
    found, out = probed(capsys, tmp_path / "run", *typed)
    assert found["checkpoint"] == str(trained)
    assert "final (step 1) weights" in " ".join(out.split())
    assert found["asked"] == 4
    assert found["teachers"]["suffix"]["overall"]["mean"] < 1  # the teacher has the weights before training
