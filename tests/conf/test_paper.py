"""The experiments that are sweeps: every job of each composes, and those that differ by no setting are one run."""

import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))

from paper import ELSEWHERE, HERE, PUBLISHED, Study, sweeps


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


def tables(studies: list[Study]) -> list[Study]:
    return [study for study in studies if study.name.startswith("table")]


def test_what_has_a_script_of_its_own_has_it() -> None:
    assert all((HERE / script).exists() for script, *_ in ELSEWHERE.values())
