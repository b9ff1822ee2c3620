"""What collapses and what warns of it: the sweeps share the run they start from, and a sign is what it says it is."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from command_line import read_json
from made_runs import ended

from dopsd.report.runs.run import Run

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))

import collapse
from collapse_signs import AHEAD, Fate, Sign, signs_of
from study import CONF, Study

FALLS_AT = {"early": 5, "within": 20, "soon": 15 + AHEAD, "late": 15 + AHEAD + 5, "never": None}


def test_all_sweeps_but_four_start_from_one_setting(tmp_path: Path) -> None:
    names = [file.stem for file in (Path(CONF) / "experiment").glob("collapse_*.yaml")]
    studies = [Study(name=name, runs=tmp_path) for name in names]
    runs = {study.name: {study.directory(job) for job in study.jobs if "seed=1" in job} for study in studies}
    of_their_own = {f"collapse_{name}" for name in ("length", "released", "exact", "guard")}
    sharing = [name for name in names if name not in of_their_own]
    assert len(set.intersection(*(runs[name] for name in sharing))) == 1
    assert len(set.union(*runs.values())) == sum(map(len, runs.values())) - (len(sharing) - 1)


def test_a_run_counts_at_a_step_by_when_it_falls() -> None:
    seen = {when: fate(when, value=0).falls_after(15) for when in FALLS_AT}
    assert seen == {"early": None, "within": True, "soon": True, "late": False, "never": False}
    unseen = {when: fate(when, value=0, steps=15 + AHEAD - 5).falls_after(15) for when in FALLS_AT}
    assert set(unseen.values()) == {None}
    assert fate("never", value=0).falls_after(16) is None


def test_a_sign_is_the_share_of_pairs_and_its_p_that_of_all_labels() -> None:
    """Two sides, every choice of the runs that fall being as likely as another."""
    falling, others = [1.0, 7.0, 9.0], [0.0, 2.0, 3.0, 8.0]
    fates = [fate("soon", value=x, setting=f"a{x > 5}") for x in falling]
    fates += [fate("never", value=x, setting=f"a{x > 5}") for x in others] + [fate("early", value=5)]
    sign = Sign.of(fates, "distill/entropy", 15)
    assert sign is not None
    values = sorted(falling + others)
    all_wins = [wins(of, [x for x in values if x not in of]) for of in combinations(values, len(falling))]
    got = wins(falling, others)
    beyond = min(sum(x <= got for x in all_wins), sum(x >= got for x in all_wins))
    assert sign.auc == pytest.approx(got / 12)
    assert sign.p == pytest.approx(min(1, 2 * beyond / len(all_wins)))
    assert (sign.falling, sign.others, sign.pairs) == (3, 4, 3 + 2)
    assert sign.within == pytest.approx((1 + 1) / 5)  # 1 beats 0 alone, of 7 and 9 only 9 beats 8


def test_runs_that_are_rolled_back_do_not_count() -> None:
    fates = [fate("soon", value=3), fate("never", value=1)]
    twin = replace(fates[0], run=replace(fates[0].run, typed={"callbacks.action": "roll_back"}))
    warned = replace(fates[0], run=replace(fates[0].run, typed={"callbacks.action": "warn"}))
    counted = [signs_of([*fates, more])["distill/entropy"][1] for more in (twin, warned)]
    assert [sign and sign.falling for sign in counted] == [1, 2]


def test_no_sign_where_nothing_differs_or_nothing_falls() -> None:
    same = [fate("soon", value=1), fate("never", value=1)]
    assert Sign.of(same, "distill/entropy", 15) is None
    assert Sign.of([fate("never", value=x) for x in (1, 2)], "distill/entropy", 15) is None
    assert Sign.of(same, "rollout/length", 15) is None


def test_runs_that_have_not_ended_are_named(tmp_path: Path) -> None:
    study = Study(name="collapse_sampler", runs=tmp_path / "runs")
    for job, fell in zip(study.jobs[:-1], (1, 0, 0, 0, 0), strict=True):
        learnt = {"nothing_learnt": "0 of 32" if job[-1] == "seed=2" else None}
        ended(study.directory(job), [True, False, False, False], *job, summary=learnt)
        (study.directory(job) / "metrics.csv").write_text(
            f"step,eval/accuracy,guard/fell\n0,0.5,\n5,0.25,{fell}\n"
        )
    collapse.leave({"sampler": collapse.labelled(study.arms), "none": []}, tmp_path / "left")
    table = (tmp_path / "left" / "table.md").read_text()
    assert (
        "| sampler | parity.noise_dtype=float64 | 50 25 (step 5), 50 25 nothing learnt, 50 25 | 25.0 %"
        in table
    )
    assert "| sampler | parity.noise_dtype=bfloat16 | 50 25, 50 25 nothing learnt, not started |  |" in table
    runs = read_json(tmp_path / "left" / "results.json")["runs"]
    assert [run["falls"] for run in runs] == [[5], [], [], [], []]
    assert (tmp_path / "left" / "figure.png").stat().st_size > 5000


def fate(when: str, *, value: float, setting: str = "", steps: int = 60) -> Fate:
    """Evaluated every 5 steps; the signal is this value in the five steps until step 15, another before and after."""
    curve = [
        {"step": step, "distill/entropy": value if 10 < step <= 15 else 100 - value}
        | ({"eval/accuracy": 0.5, "guard/fell": float(step == FALLS_AT[when])} if step % 5 == 0 else {})
        for step in range(1, steps + 1)
    ]
    run = Run(directory=Path(when), arms={}, typed={}, seed="1", state="done", curve=curve)
    return Fate(setting=setting, run=run)


def wins(some: Sequence[float], others: Sequence[float]) -> float:
    return sum((x > y) + (x == y) / 2 for x in some for y in others)
