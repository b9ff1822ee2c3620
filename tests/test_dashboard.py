"""The W&B workspace as code: what would be sent, or why nothing can be."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from command_line import read_json, run

from dopsd.method.budget import BUDGET


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    ran = run(capsys, "dashboard", *arguments)
    return ran.code, ran.err or ran.out


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("projekt=a", "projekt=a: must be one of entity=..., project=..., name=..., out=..., push=..."),
        ("push=yes", "push=yes: must be true or false"),
        ("push=true", "entity=: must be a user or a team on W&B (or WANDB_ENTITY), with push=true"),
        ("push=true entity=me", "push=true: needs a key (WANDB_API_KEY, or wandb login)"),
    ],
)
def test_a_mistake_is_one_line(
    typed: str, line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WANDB_API_KEY", "WANDB_ENTITY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/proc")
    assert said(capsys, *typed.split()) == (2, f"dopsd: {line}\n")


def test_without_the_package_the_extra_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    line = 'dopsd: dashboard: needs another package (pip install "dopsd[dashboard]")\n'
    assert said(capsys, f"out={tmp_path / 'd.json'}") == (2, line)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(find_spec("wandb_workspaces") is None, reason="wandb-workspaces is not installed")
@pytest.mark.filterwarnings("ignore")  # of its own
def test_every_view_is_in_the_specification(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "d.json"
    assert said(capsys, "entity=me", f"out={file}") == (0, f"{file}\n")
    spec = read_json(file)
    sections = spec["spec"]["section"]["panelBankConfig"]["sections"]
    panels = {section["name"]: [panel["config"] for panel in section["panels"]] for section in sections}
    assert list(panels) == ["Ablations", "Run", "Collapse", "Budget"]
    assert [panel["xAxis"] for panel in panels["Budget"]] == [f"budget/{name}" for name in BUDGET]
    assert {metric for panel in panels["Collapse"] for metric in panel["metrics"]} >= {
        *("distill/entropy", "distill/clipped_fraction", "distill/top_k_overlap", "rollout/length"),
        *("rollout/no_end", "eval/accuracy", "distill/negative_share", "guard/p", "guard/fell"),
    }
    bars = panels["Ablations"][0]
    assert (bars["metrics"], bars["groupAgg"], bars["groupArea"]) == (
        ["test/best/accuracy"],
        "mean",
        "stderr",
    )
    assert "arm" in bars["groupBy"]
