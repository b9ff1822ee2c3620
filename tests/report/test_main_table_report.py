"""The report of the main table, of what there is: the paper's figures beside ours, and of which runs it is made."""

import json
import sys
from pathlib import Path

import pytest
from command_line import read_json
from made_runs import ended

from dopsd.method.budget import BUDGET

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))

import main_table_report

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
