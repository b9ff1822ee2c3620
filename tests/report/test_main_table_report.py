"""The report of the main table, of what there is: the paper's figures beside ours, its runs, and its differences."""

import json
import sys
from pathlib import Path

import pytest
from command_line import read_json
from made_runs import ended

from dopsd.method.budget import BUDGET

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))

import main_table_report
from shortcuts import change

GIT = {"revision": "a" * 40, "dirty": False}
SPENT = dict.fromkeys(BUDGET, 4.0) | {"device_seconds": 2.0, "git": GIT}


def test_the_papers_figures_stand_beside_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main_table_report, "HERE", tmp_path / "main_table")
    runs = tmp_path / "runs"
    for name in ("diffu_grpo", "dopsd"):
        arm = runs / "sudoku" / name
        for seed in ("1", "2"):
            where = arm / "seeds" / f"seed={seed}"
            ended(where, [True, False], f"seed={seed}", summary=SPENT)
        ended(arm / "search_lr=1", [True], "seed=100", summary=SPENT)
        interval = {"accuracy": 0.5, "low": 0.4, "high": 0.6, "n": 2}
        setting = {"setting": "prompts_per_step=2"} | dict.fromkeys(("base", "best", "final"), interval)
        jobs = [{"directory": f"seed={seed}", "state": "done"} for seed in ("1", "2")]
        (arm / "seeds" / "sweep.json").write_text(json.dumps({"settings": [setting], "jobs": jobs}))
    main_table_report.main(runs)
    tables = (tmp_path / "main_table" / "tables.md").read_text()
    for line in ("| base | 11.5 / 6.9 | 50.0 %", "| d-OPSD | 23.9 / 20.6 |", "| diffu-GRPO | 18.4 / 12.9 |"):
        assert line in tables
    assert "| 3800 |\n" in tables
    found = read_json(tmp_path / "main_table" / "results.json")
    assert (found["revisions"], found["seconds"]) == (["a" * 12], 12.0)
    assert (found["seeds"], found["n"]) == ([1, 2], [2])
    assert len(found["sudoku"]["dopsd"]["seeds"]) == 2
    assert found["countdown"]["dopsd"]["seeds"] == []


def test_seeds_that_agree_do_not_make_a_difference_certain(tmp_path: Path) -> None:
    """Every seed fails at the same puzzle of eight: over seeds alone the interval would have no width."""
    for seed in (1, 2, 3):
        right = [True] * 6 + [False] * 2
        ended(tmp_path / "ours" / str(seed), right, f"seed={seed}")
        ended(tmp_path / "other" / str(seed), [False, *right[1:]], f"seed={seed}")
    text = change(tmp_path / "other", tmp_path / "ours", "best")
    low, high = (float(bound) for bound in text.split("[")[1].rstrip("]").split(", "))
    assert text.startswith("-12.5 points")
    assert low < -25
    assert high > 0


def test_runs_of_other_seeds_are_not_compared(tmp_path: Path) -> None:
    ended(tmp_path / "ours" / "a", [True, False], "seed=1")
    ended(tmp_path / "other" / "a", [True, True], "seed=2")
    with pytest.raises(ValueError, match="no seed in common"):
        change(tmp_path / "other", tmp_path / "ours", "best")
