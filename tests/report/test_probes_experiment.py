"""The script that runs the probes: what is there is not made again, and the paper's figures stand beside ours."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import read_json

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))

import probes

SHARE = {"accuracy": 0.5, "low": 0.4, "high": 0.6, "n": 8}
CONTENT = {
    "seed": 42,
    "asked": 8,
    "wall_s": 3.0,
    "rhos": [0.0, 0.1, 0.25, 0.5],
    "curves": {"shown_accepted_answer": [SHARE] * 4},
    "pass_at_k": SHARE,
    "teachers": {
        key: {"overall": {"mean": 0.9, "low": 0.8, "high": 1.0, "n": 8}} for key in ("suffix", "ar_prefix")
    },
}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands of the probes that are run, which leave the same numbers each; one with rho=1 fails."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess:
        commands.append(command[3:-1])
        directory = Path(command[-1].removeprefix("hydra.run.dir="))
        directory.mkdir(parents=True)
        if "rho=1" not in command:
            (directory / "probe.json").write_text(json.dumps(CONTENT))
            for kind in ("md", "png"):
                (directory / f"probe.{kind}").write_text(kind)
        return subprocess.CompletedProcess(command, int("rho=1" in command))

    monkeypatch.setattr(probes.subprocess, "run", run)
    monkeypatch.setattr(probes, "HERE", tmp_path / "experiments")
    monkeypatch.setattr(probes, "RUNS", tmp_path / "runs")
    return commands


def left(probe: str, *typed: str) -> object:
    with pytest.raises(SystemExit) as ended:
        probes.main(probe, *typed)
    return ended.value.code


def test_what_is_there_is_not_made_again(made: list[list[str]], tmp_path: Path) -> None:
    assert left("toy_verification") is None
    assert left("toy_verification") is None
    ours = ["probe=toy_verification", "task=countdown", "eval_limit=256"]
    assert (len(made), made[0]) == (4, ours)
    where = tmp_path / "experiments" / "toy_verification"
    assert {it.name for it in where.glob("*.md")} >= {"table.md", "countdown.md", "sudoku_kept.md"}
    table = (where / "table.md").read_text()
    assert "| countdown, the paper's LLaDA-8B | 18.2 % | 29.6 % | 45.4 % | 48.2 % | 59.2 % |" in table
    assert table.count("| 50.0 % [40.0, 60.0] |") >= 4
    found = read_json(where / "results.json")
    assert (found["seconds"], found["seeds"], found["n"]) == (12.0, [42], [8])


def test_one_that_was_stopped_is_made_anew(made: list[list[str]], tmp_path: Path) -> None:
    [first, _] = probes.runs("overlap", ()).values()
    (tmp_path / "runs" / probes.folder(*first)).mkdir(parents=True)
    assert left("overlap") is None
    assert made == [*probes.runs("overlap", ()).values()]
    assert (
        "| the paper's LLaDA-8B |  | near 1 |"
        in (tmp_path / "experiments" / "overlap" / "table.md").read_text()
    )


def test_overrides_have_a_folder_of_their_own(made: list[list[str]], tmp_path: Path) -> None:
    assert left("overlap", "model=llada_8b", "task=gsm8k", "eval_limit=4") is None
    assert made == [["probe=overlap", "task=gsm8k", "model=llada_8b", "eval_limit=4"]]
    where = tmp_path / "experiments" / "overlap_model=llada_8b_task=gsm8k_eval_limit=4"
    assert (where / "gsm8k.md").read_text() == "md"
    assert not (tmp_path / "experiments" / "overlap").exists()


def test_what_failed_is_named(made: list[list[str]], tmp_path: Path) -> None:
    assert left("overlap", "rho=1") == "overlap: failed: countdown, sudoku"
    assert len(made) == 2
    assert not (tmp_path / "experiments").exists()
