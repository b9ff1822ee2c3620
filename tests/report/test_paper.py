"""The experiments that are sweeps: every job of each composes, and those that differ by no setting are one run."""

import sys
from pathlib import Path

import pytest
import yaml
from command_line import read_json
from made_runs import ended

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))

import paper
from paper import ELSEWHERE, HERE, PUBLISHED, Study, result, row, sweeps

from dopsd.job.found_runs import read_run
from dopsd.report.runs.arms import arms_of


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[Study]:
    runs = tmp_path_factory.mktemp("runs")
    return [Study(name=name, runs=runs) for name in sweeps().values()]


def test_tables_share_the_runs_of_the_default_alone(studies: list[Study]) -> None:
    default = {studies[0].directory((f"seed={seed}",)) for seed in (1, 2, 3)}
    assert len(default) == 3
    others: list[Path] = []
    for study in tables(studies):
        directories = {study.directory(job) for job in study.jobs}
        assert len(directories) == len(study.jobs)
        assert default < directories
        others += directories - default
    assert len(set(others)) == len(others)


def test_what_was_published_is_run(studies: list[Study]) -> None:
    published = yaml.safe_load(PUBLISHED.read_text())
    assert published.keys() == {study.name for study in tables(studies)}
    for study in studies:
        assert published.get(study.name, {}).keys() <= {job[0] for job in study.jobs}


@pytest.mark.parametrize("name", ["table6_rho", "figure12_collapse"])
def test_a_setting_without_all_its_seeds_is_named_and_has_no_figures(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paper, "HERE", tmp_path)
    study = Study(name=name, runs=tmp_path / "runs")
    first, *_, last = study.jobs
    for job in study.jobs[:-1]:
        ended(study.directory(job), [True, job[-1] == "seed=1", False, False], *job)
    study.leave()
    where = tmp_path / "paper" / name
    whole, *others, missing = read_json(where / "results.json")["settings"]
    assert (whole["setting"], whole["seeds"], whole["not_done"]) == (first[0], ["1", "2", "3"], {})
    assert [whole[of]["accuracy"] for of in ("base", "best", "final")] == [pytest.approx(4 / 12)] * 3
    assert whole["paper"] == (81.0 if name == "table6_rho" else None)
    assert (missing["setting"], missing["not_done"]) == (last[0], {"3": "not started"})
    assert not {"base", "best", "final"} & missing.keys()
    assert len(others) == len(study.jobs) // 3 - 2
    assert f"| {last[0]} | " in (where / "table.md").read_text()
    assert "| 1: 50.0, 2: 25.0, 3: not started |" in (where / "table.md").read_text()
    assert (where / "figure.png").stat().st_size > 5000


def test_a_seed_that_learnt_nothing_has_ended(tmp_path: Path) -> None:
    runs = [
        read_run(
            ended(tmp_path / seed, [seed == "2", False], summary={"nothing_learnt": why}),
            {},
            (f"seed={seed}",),
        )
        for seed, why in (("1", "0 of 32"), ("2", None))
    ]
    [arm] = arms_of(runs)
    assert row(arm, 81.0)[1:] == ["81.0", *[str(arm.pooled["best"])] * 3, "1: 0.0 nothing learnt, 2: 50.0"]
    assert result(arm, None)["best"]["accuracy"] == pytest.approx(0.25)
    assert result(arm, None)["not_done"] == {"1": "nothing learnt"}


def tables(studies: list[Study]) -> list[Study]:
    return [study for study in studies if study.name.startswith("table")]


def test_what_has_a_script_of_its_own_has_it() -> None:
    assert all((HERE / script).exists() for script, *_ in ELSEWHERE.values())
