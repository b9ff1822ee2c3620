"""The script that makes block-diffusion models: every arm composes, and what has ended leaves tables and a figure."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import read_json
from hydra import compose, initialize_config_dir
from made_runs import ended

from dopsd.entry.composing import CONF

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))

import opdlm
import opdlm_report
from opdlm import MASKED_SFT, ON_TOP, OPDLM, PARTS, Part

AT = [{"accuracy": 0.5, "tokens_per_forward": 1.0}] * (1 + len(opdlm_report.THRESHOLDS))


@pytest.fixture
def part(tmp_path: Path) -> Part:
    """Two arms of the part that has all, one seed right in one of three problems more than the other."""
    part = replace(PARTS["tiny"], runs=tmp_path / "tiny", arms=("opdlm", "opdlm_next", MASKED_SFT, ON_TOP))
    for arm, seeds in {"opdlm": (1, 2), "opdlm_next": (1,)}.items():
        for seed in seeds:
            ended(part.seeds_of(arm) / f"seed={seed}", [True, seed == 2, False], f"seed={seed}", f"arm={arm}")
    jobs = [{"directory": f"seed={seed}", "state": "done"} for seed in (1, 2)]
    (part.seeds_of("opdlm") / "sweep.json").write_text(json.dumps({"jobs": jobs}))
    return part


def test_every_arm_composes(part: Part) -> None:
    for name, found in PARTS.items():
        of_runs = replace(found, runs=part.runs)
        assert {*found.arms} <= {*OPDLM, MASKED_SFT, ON_TOP}, name
        with initialize_config_dir(CONF, version_base="1.3"):
            for arm in found.arms:
                config = compose("train", list(of_runs.settings(arm, 1e-3, part=2)))
                assert (config.lr, config.block_length) == (1e-3, 4)
                assert arm == ON_TOP or config.gen_length == found.gen_length


def test_masked_sft_ends_with_the_tokens_that_opdlm_spent(part: Part) -> None:
    spent = part.tokens("opdlm")
    assert spent > 0
    assert f"stop_at.tokens={spent:.0f}" in part.settings(MASKED_SFT, 1e-3, part=1)
    assert f"stop_at.tokens={spent / 2:.0f}" in part.settings(MASKED_SFT, 1e-3, part=2)


def test_only_arms_that_have_ended_have_figures(
    part: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opdlm_report, "HERE", tmp_path / "report")
    monkeypatch.setattr(
        opdlm, "decoded", lambda *_: [{"accuracy": 0.5, "low": 0.4, "high": 0.6, "n": 3, "verdicts": {}}]
    )
    monkeypatch.setattr(opdlm_report, "points", lambda *_: AT)
    monkeypatch.setattr(opdlm_report, "samples", lambda _: "some")
    opdlm_report.leave({"tiny": part, "smollm2": replace(PARTS["smollm2"], runs=tmp_path / "smollm2")})
    results = read_json(tmp_path / "report" / "results.json")
    assert "smollm2" not in results
    assert results["tiny"]["teacher"]["dev"]["accuracy"] == 0.5
    [arm] = results["tiny"]["arms"]
    assert (arm["arm"], [*arm["dev"]], arm["best"]["accuracy"]) == ("opdlm", ["1", "2"], pytest.approx(0.5))
    assert "| opdlm | 50.0 %" in (tmp_path / "report" / "table.md").read_text()
    assert (tmp_path / "report" / "figure.png").stat().st_size > 5000
