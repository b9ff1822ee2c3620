"""The experiments that are sweeps: every job of each composes, and those that differ by no setting are one run."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import read_json
from hydra import compose, initialize_config_dir
from made_runs import ended

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))

import paper
import study as of_study
from paper import ELSEWHERE, HERE, sweeps
from results import published
from study import CONF, Study, result, row, run_missing

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
    best = published("table1")["gsm8k"]["dopsd"][0]
    for study in studies:
        settings = {job[0] for job in study.jobs}
        found = published(study.name)
        assert found
        assert all(of.keys() <= settings for of in found.values())
        if study in tables(studies):
            assert max(found["GSM8K, length 256"].values()) == best
    in_table8 = published("table8_attempts")["Countdown, length 128"]
    assert in_table8["max_attempts=8"] == published("table1")["countdown"]["dopsd"][0]


@pytest.mark.parametrize("name", ["table6_rho", "figure12_collapse"])
def test_a_setting_without_all_its_seeds_is_named_and_has_no_figures(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_study, "PAPER", tmp_path / "paper")
    study = Study(name=name, runs=tmp_path / "runs")
    first, *_, last = study.jobs
    for job in study.jobs[:-1]:
        ended(study.directory(job), [True, job[-1] == "seed=1", False, False], *job)
    study.leave()
    where = tmp_path / "paper" / name
    whole, *others, missing = read_json(where / "results.json")["settings"]
    assert (whole["setting"], whole["seeds"], whole["not_done"]) == (first[0], ["1", "2", "3"], {})
    assert [whole[of]["accuracy"] for of in ("base", "best", "final")] == [pytest.approx(4 / 12)] * 3
    assert whole["paper"] == ({"GSM8K, length 256": 81.0} if name == "table6_rho" else {"at step 500": 69.4})
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
    theirs = {"a": {arm.label: 81.0}, "b": {}}
    assert row(arm, theirs)[1:] == [
        "81.0",
        "",
        *[str(arm.pooled["best"])] * 3,
        "1: 0.0 nothing learnt, 2: 50.0",
    ]
    assert result(arm, theirs)["best"]["accuracy"] == pytest.approx(0.25)
    assert result(arm, theirs)["not_done"] == {"1": "nothing learnt"}


def tables(studies: list[Study]) -> list[Study]:
    return [study for study in studies if study.name.startswith("table")]


def test_what_has_a_script_of_its_own_has_it() -> None:
    assert all((HERE / script).exists() for scripts in ELSEWHERE.values() for script, *_ in scripts)


LLADA = ("model=llada_8b", "task=gsm8k", "trainer=ddp", "seed=1")


def test_overrides_go_to_every_run_and_have_a_folder_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_study, "PAPER", tmp_path / "paper")
    study = Study(name="table5_divergence", runs=tmp_path / "runs", typed=LLADA)
    assert study.jobs == [
        (f"divergence={it}", "seed=1", "model=llada_8b", "task=gsm8k", "trainer=ddp") for it in ("rkl", "fkl")
    ]
    embedded = replace(study, typed=("seed=1",))
    assert not {study.directory(job) for job in study.jobs} & {
        embedded.directory(job) for job in embedded.jobs
    }
    ended(study.directory(study.jobs[0]), [True, False], *study.jobs[0])
    study.leave()
    where = tmp_path / "paper" / "table5_divergence_model=llada_8b_task=gsm8k_trainer=ddp_seed=1"
    found = read_json(where / "results.json")
    assert found["command"] == "python experiments/paper.py table5 " + " ".join(LLADA)
    assert [it["setting"] for it in found["settings"]] == ["divergence=rkl", "divergence=fkl"]
    assert found["settings"][0]["paper"] == {"GSM8K, length 256": 81.0}
    assert (found["revisions"], found["seeds"], found["n"]) == (["unknown"], [1], [2])


def test_what_is_typed_wins_over_the_experiment_and_its_sweep(tmp_path: Path) -> None:
    typed = ("max_steps=500", "threshold=null", "clip=none", "seed=4", "lr=1e-5,2e-5")
    study = Study(name="figure12_collapse", runs=tmp_path, typed=typed)
    assert [job[:2] for job in study.jobs] == [("clip=none", "seed=4")] * 2
    with initialize_config_dir(CONF, version_base="1.3"):
        config = compose("train", [f"experiment={study.name}", *study.jobs[-1]])
    assert (config.max_steps, config.threshold, config.seed, config.lr) == (500, None, 4, 2e-5)
    assert config.states_per_trajectory == 4
    assert [arm.label for arm in study.arms] == ["clip=none lr=1e-05", "clip=none lr=2e-05"]


def test_what_fails_is_named_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = Study(name="table5_divergence", runs=tmp_path, typed=("seed=1",))

    def ran(command: list[str], **_: object) -> subprocess.CompletedProcess:
        fails = "divergence=fkl" in command
        return subprocess.CompletedProcess(command, 2 * fails, stderr="so far\ndopsd: x=1: bad\n")

    monkeypatch.setattr(of_study.subprocess, "run", ran)
    said = run_missing([study], workers=1)
    assert said == ["experiment=table5_divergence divergence=fkl seed=1: dopsd: x=1: bad"]
    first, *ended_runs = capsys.readouterr().err.splitlines()
    assert first == "2 of 2 runs are missing"
    assert {line.partition(" 2 ")[2] for line in ended_runs} == {
        "ended: experiment=table5_divergence divergence=rkl seed=1",
        "failed: experiment=table5_divergence divergence=fkl seed=1",
    }


def test_a_script_that_fails_does_not_keep_the_others_from_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paper, "HERE", tmp_path)
    (tmp_path / "main_table.py").write_text("raise SystemExit(3)")
    (tmp_path / "main_table_report.py").write_text("open(__file__ + '.left', 'w').close()")
    with pytest.raises(SystemExit) as left:
        paper.leave(["table1", "table2"], [], tmp_path, workers=1)
    assert left.value.code == "main_table.py: failed with exit code 3 (what it said stands above)"
    assert (tmp_path / "main_table_report.py.left").exists()


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (("table5", "table99"), "table99: must be one of table1, table2, "),
        (("table1", "model=llada_8b"), "table1 model=llada_8b: takes no overrides"),
        (("model=llada_8b",), "model=llada_8b: of which of table1, "),
        (("table5", "trainer=dpd"), "trainer=dpd: no such arm; "),
        (("table5", "rhoo=0.5"), "rhoo=0.5: no such key; did you mean rho?"),
    ],
)
def test_a_wrong_command_is_one_line(
    typed: tuple[str, ...],
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["paper.py", *typed, f"--runs={tmp_path / 'runs'}"])
    with pytest.raises(SystemExit) as left:
        paper.main()
    assert left.value.code == 2
    [said] = capsys.readouterr().err.splitlines()
    assert said.startswith(f"paper.py: {line}")
    assert not (tmp_path / "runs").exists()


def test_make_hands_the_overrides_on() -> None:
    typed = [
        "make",
        "-n",
        "--no-print-directory",
        "table5",
        "model=llada_8b",
        "trainer=ddp",
        "PYTHON=python3",
    ]
    said = subprocess.run(typed, cwd=HERE.parent, check=True, capture_output=True, text=True).stdout
    assert said.splitlines()[-1].endswith("experiments/paper.py table5 model=llada_8b trainer=ddp")
