"""results.json of a study says which runs it is made of, and of which code these were."""

import sys
from pathlib import Path

import pytest
from command_line import read_json
from made_runs import ended

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))

from results import folder, summaries, write_results

CLEAN, CHANGED = ({"revision": letter * 40, "dirty": letter == "b"} for letter in "ab")


def test_of_which_runs_it_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = {"1": CLEAN, "2": CHANGED, "3": None}
    runs = [ended(tmp_path / s, [True, False], f"seed={s}", summary={"git": git}) for s, git in made.items()]
    search = ended(tmp_path / "search", [True] * 8, "seed=100", summary={"git": CLEAN})
    of_runs, beside = (summaries(run / "summary.json" for run in some) for some in (runs, [search]))
    write_results(tmp_path / "study", "make it", of_runs, beside=beside, runs="found")
    assert read_json(tmp_path / "study" / "results.json") == {
        "command": "make it",
        "revisions": ["a" * 12, "b" * 12 + "-dirty", "unknown"],
        "seconds": 4 * 2.0,
        "seeds": [1, 2, 3],
        "n": [2],
        "runs": "found",
    }
    [line] = capsys.readouterr().err.splitlines()
    assert (
        line == "study: WARNING: its runs are of several revisions: aaaaaaaaaaaa, bbbbbbbbbbbb-dirty, unknown"
    )
    write_results(tmp_path / "study", "make it", of_runs[:1], beside=beside)
    assert read_json(tmp_path / "study" / "results.json")["revisions"] == ["a" * 12]
    assert capsys.readouterr().err == ""


def test_a_folder_stays_below_its_parent() -> None:
    assert folder("table5", "model=x", "model.path=/a b/../c") == "table5_model=x_model.path=-a-b-..-c"
