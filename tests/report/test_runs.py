"""A report on runs: arms and states as they are on disk, tables and files that agree, a page that a browser takes."""

import csv
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from command_line import run
from made_runs import began, ended
from matplotlib.figure import Figure

from dopsd.evaluation.interval import Interval
from dopsd.job import display
from dopsd.job.found_runs import find_runs
from dopsd.method.budget import BUDGET
from dopsd.report.formats import Figures, Table
from dopsd.report.runs.arms import arms_of
from dopsd.report.runs.bars import draw_bars
from dopsd.report.runs.overlaps import other_probes, overlaps_of

RIGHT = {"1": [True] * 6 + [False] * 4, "2": [True] * 8 + [False] * 2}
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def probed(directory: Path, task: str, overlap: float) -> None:
    """What an overlap probe leaves; over three steps its overlap falls."""
    mean = {"low": overlap - 0.1, "high": overlap + 0.1, "n": 9}
    by_step = [mean | {"step": i, "mean": overlap - i / 100} for i in range(3)]
    content = {"probe": "overlap", "task": task, "top_k": 20}
    teachers = {"suffix": {"overall": mean | {"mean": overlap}, "by_step": by_step}}
    (began(directory) / "probe.json").write_text(json.dumps({**content, "teachers": teachers}))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two arms of two seeds and more: one runs, one failed, one was interrupted, one has not begun; and probes."""
    sweep = tmp_path / "runs" / "sweep"
    for seed, right in RIGHT.items():
        ended(sweep / f"rho=0.1,{seed}", right, "rho=0.1", f"seed={seed}")
        ended(sweep / f"rho=0.5,{seed}", right[::-1], f"seed={seed}", "rho=0.5")
    began(sweep / "rho=0.5,3", "seed=3", "rho=0.5")
    failed = began(sweep / "rho=0.5,4", "seed=4", "rho=0.5")
    (failed / "train.log").write_text(
        "2026-01-01 00:00:00 ended by UserError: rho=0.5: the logits are not finite\n"
    )
    stopped = began(sweep / "rho=0.5,5", "seed=5", "rho=0.5")
    (stopped / "train.log").write_text("2026-01-01 00:00:00 ended by KeyboardInterrupt:\n")
    jobs = [{"directory": f"rho=0.5,{seed}", "overrides": [f"seed={seed}", "rho=0.5"]} for seed in (1, 6)]
    (sweep / "sweep.yaml").write_text(yaml.safe_dump(jobs))
    for place, (task, overlap) in {
        "a": ("countdown", 0.9),
        "b": ("countdown", 0.8),
        "c": ("sudoku", 0.7),
    }.items():
        probed(tmp_path / "runs" / place / "probe", task, overlap)
    toy = began(tmp_path / "runs" / "toy")
    (toy / "probe.json").write_text(json.dumps({"probe": "toy_verification", "task": "countdown"}))
    return tmp_path / "runs"


def test_what_has_not_ended_is_named_and_not_averaged_over(runs: Path) -> None:
    found = find_runs([runs, runs / "sweep"])
    assert len(found.runs) == 8
    assert len(found.probes) == 4
    first, second = arms_of(found.runs)
    assert (first.label, second.label) == ("rho=0.1", "rho=0.5")
    assert [(it.seed, it.state) for it in second.runs] == [
        *(
            ("1", "done"),
            ("2", "done"),
            ("3", "running"),
            ("4", "failed"),
            ("5", "stopped"),
            ("6", "not started"),
        ),
    ]
    assert second.runs[3].note == "step 2; rho=0.5: the logits are not finite"
    pooled = Interval.of_seeds([[float(it) for it in right] for right in RIGHT.values()])
    assert vars(second.pooled["best"]) == pytest.approx(vars(pooled))


def test_notes_and_every_character_come_into_latex() -> None:
    notes = [r"Typed for all: a=~b\c x^2 100_%"]
    table = Table(name="t", title="50 % of {x}", head=["a", "b"], rows=[["1", Figures()]], notes=notes)
    assert r"\caption{50 \% of \{x\}}" in table.as_latex
    note = r"Typed for all: a=\textasciitilde{}b\textbackslash{}c x\textasciicircum{}2 100\_\%"
    assert table.as_latex.endswith(f"\\end{{tabular}}\n\\par\\footnotesize {note}\n\\end{{table}}\n")
    assert table.as_csv == "a,b\n1,-\n"


def test_bars_say_what_the_line_before_training_is_whichever_arm_has_ended(tmp_path: Path) -> None:
    began(tmp_path / "a", "rho=0.1")
    ended(tmp_path / "b", RIGHT["1"], "rho=0.5")
    figure = Figure()
    draw_bars(figure, arms_of(find_runs([tmp_path]).runs))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["before training", "best on dev", "last"]


def test_overlap_probes_are_kept_apart_by_their_folders_and_by_their_task(runs: Path) -> None:
    probes = find_runs([runs]).probes
    countdown, sudoku = overlaps_of(probes)
    assert {name: steps[2]["mean"] for name, steps in countdown.by_step.items()} == pytest.approx(
        {"suffix, a/probe": 0.88, "suffix, b/probe": 0.78}
    )
    assert (sudoku.task, [*sudoku.by_step]) == ("sudoku", ["suffix"])
    assert other_probes(probes) == (
        f"Of probes only overlap is shown, not toy_verification in {runs / 'toy'}."
    )


def test_a_silent_run_has_been_stopped(tmp_path: Path) -> None:
    directory = began(tmp_path / "run")
    for file in directory.iterdir():
        os.utime(file, (0, 0))
    ((only,),) = (find_runs([tmp_path]).runs,)
    assert (only.state, only.note) == ("stopped", "step 2, last written 1970-01-01 00:00")


def test_progress_without_a_line_is_a_sign_of_life_once_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = began(tmp_path / "run")
    now = 0

    def state_after(second: int, go_on: Callable[[], None]) -> str:
        nonlocal now
        now = second
        for file in directory.iterdir():
            os.utime(file, (0, 0))
        go_on()
        return find_runs([tmp_path]).runs[0].state

    monkeypatch.setattr(display, "time", SimpleNamespace(monotonic=lambda: now))
    with display.Display(log=directory / "train.log") as shown, shown.bar("base, test", 9) as advance:
        assert state_after(59, lambda: advance(1)) == "stopped"
        assert state_after(60, lambda: advance(1)) == "running"
        assert state_after(119, lambda: shown.part("rollout", 1, 2)) == "stopped"
        assert state_after(120, lambda: shown.part("rollout", 1, 2)) == "running"
    assert (directory / "train.log").read_text() == ""


def test_arms_are_told_apart_by_as_little_as_that_takes(tmp_path: Path) -> None:
    typed = {
        "a": (("lr=1",), {"method": "sft", "source": "solutions"}),
        "b": (("lr=1", "source=accepted_rollouts"), {"method": "sft", "source": "accepted_rollouts"}),
        "c": (("lr=2", "name=other"), {"trainer": "gpu"}),
        "d": (("seed=1", "lr=2"), {}),
        "e": (("seed=1", "lr=2"), {}),
    }
    for name, (overrides, arms) in typed.items():
        ended(tmp_path / name, RIGHT["1"], *overrides, **arms)
    labels = {
        arm.label: [it.directory.name for it in arm.runs] for arm in arms_of(find_runs([tmp_path]).runs)
    }
    assert labels == {
        "sft source=solutions": ["a"],
        "sft source=accepted_rollouts": ["b"],
        "dopsd": ["d", "c"],
        "dopsd (2)": ["e"],
    }


def test_the_page_is_whole_and_every_axis_is_in_it(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    ran = run(
        capsys,
        "report",
        f"runs={runs / 'sweep'},{runs}",
        f"out={out}",
        "axis=flop",
        "title='<Ours> & theirs'",
    )
    assert ran.code == 0, ran.err
    assert "rho=0.5" in ran.out
    with (out / "countdown_pairs.csv").open() as lines:
        ((pair),) = csv.DictReader(lines)
    assert (pair["first"], pair["second"], pair["seeds"]) == ("rho=0.1", "rho=0.5", "1, 2")
    assert float(pair["second - first"]) == 0
    assert float(pair["second - first low"]) == -float(pair["second - first high"]) < 0
    first, second = arms_of(find_runs([runs]).runs)
    with (out / "countdown_arms.csv").open() as lines:
        for arm, row in zip((first, second), csv.DictReader(lines), strict=True):
            assert arm.label == row["arm"]
            assert {name: float(row[f"last {name}"]) for name in vars(arm.pooled["final"])} == vars(
                arm.pooled["final"]
            )
    with (out / "countdown_runs.csv").open() as lines:
        by_seed = {
            row["seed"]: row["base accuracy"] for row in csv.DictReader(lines) if row["arm"] == "rho=0.5"
        }
    assert by_seed == {"1": "0.6", "2": "0.8"} | dict.fromkeys("3456", "")
    assert pair["exact McNemar p, each seed"] == "1, 1"
    with (out / "countdown_curves.csv").open() as lines:
        assert len(list(csv.DictReader(lines))) == 7 * 3
    assert r"rho=0.1 & 1, 2 & 70.0 \%" in (out / "report.tex").read_text()
    assert "adjusted over this table.\n\\end{table}" in (out / "report.tex").read_text()
    markdown = (out / "report.md").read_text()
    assert "| rho=0.5 | 4 | failed | step 2; rho=0.5: the logits are not finite | - |" in markdown
    assert (
        "| rho=0.5 | 1, 2 (not in it: 3 running, 4 failed, 5 stopped, 6 not started) | 70.0 % [" in markdown
    )
    assert f"not toy_verification in {runs / 'toy'}." in markdown
    assert "| b/probe | suffix | 20 | 80.0 % [70.0, 90.0] (n = 9) |" in markdown
    assert r"b/probe & suffix & 20 & 80.0 \%" in (out / "report.tex").read_text()
    with (out / "countdown_overlap.csv").open() as lines:
        assert [float(row["overlap mean"]) for row in csv.DictReader(lines)] == [0.9, 0.8]
    with (out / "sudoku_overlap_steps.csv").open() as lines:
        assert [(row["step"], float(row["mean"])) for row in csv.DictReader(lines)][-1] == ("2", 0.68)
    html = (out / "report.html").read_text()
    assert "&lt;Ours&gt; &amp; theirs" in html
    assert html.count("<svg") == len(BUDGET) + 4  # bars, all that is logged, overlap on two tasks
    assert not re.search(r'(src|href)="(?!#)', html.replace("xlink:href", "href"))
    if CHROMIUM is None:
        pytest.skip("no chromium here to open the page in")
    opened = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
            *(f"--user-data-dir={tmp_path / 'browser'}", "--dump-dom", f"file://{out / 'report.html'}#drive"),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert not [line for line in opened.stderr.splitlines() if "CONSOLE" in line]
    assert opened.stdout.count("<svg") == len(BUDGET) + 4
    assert len(re.findall(r'class="over" data-axis="\w+">', opened.stdout)) == 1


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("runs={0}/nowhere", "runs={0}/nowhere: no such folder"),
        (
            "runs={0}/empty",
            "runs={0}/empty: has no runs in it (a run's folder has a config.yaml, W&B's a run-*.wandb)",
        ),
        (
            "runs={0}/toy",
            "runs={0}/toy: has neither runs nor overlap probes in it. Of probes only overlap is shown, not toy in",
        ),
        ("runs={0} formats=pdf", "formats=pdf: must be some of markdown, csv, latex, html"),
        ("runs={0} axis=steps", "axis=steps: must be one of completions, denoising_forwards, "),
        ("runs={0} weights=base", "weights=base: must be one of best, final"),
        ("runs={0} out=/proc/nowhere", "out=/proc/nowhere: must be a writable directory"),
        ("", "runs=???: Missing mandatory value: runs"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    typed: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    began(tmp_path / "run")
    (began(tmp_path / "toy") / "probe.json").write_text('{"probe": "toy"}')
    ran = run(capsys, "report", *typed.format(tmp_path).split())
    assert (ran.code, len(ran.err.splitlines())) == (2, 1), ran.err
    assert ran.err.startswith(f"dopsd: {line.format(tmp_path)}")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["empty", "run", "toy"]
