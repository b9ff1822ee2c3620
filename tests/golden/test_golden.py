"""Twenty training steps of the embedded model, on record: a refactor reproduces them to 1e-6.

One thread computes them: two add up in another order, and are 3e-6 away after twenty steps. A change of
the numerics records them anew, and says so: `DOPSD_RECORD_GOLDEN=1 pytest tests/golden`.
"""

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from command_line import run

RECORD = Path(__file__).with_name("countdown.json")
COLUMNS = ("train/loss", "train/gradient_norm", "rollout/accepted", "rollout/attempts", "train/states")
SMALL = (
    "prompts_per_step=4",
    "max_attempts=2",
    "max_steps=20",
    "eval_every=20",
    "eval_limit=4",
    "eval_batch_size=4",
)


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_twenty_steps_repeat(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "train", *SMALL, "seed=7", f"hydra.run.dir={tmp_path / 'run'}")
    assert ran.code == 0, ran.err
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["rollout/accepted"]]
    steps = [{name: float(row[name]) if row[name] else None for name in COLUMNS} for row in rows]
    if os.environ.get("DOPSD_RECORD_GOLDEN"):
        RECORD.write_text(json.dumps(steps, indent=1) + "\n")
    golden = json.loads(RECORD.read_text())
    assert len(steps) == len(golden) == 20
    for step, expected in zip(steps, golden, strict=True):
        learnt = {name for name, value in expected.items() if value is not None}
        assert {name for name, value in step.items() if value is not None} == learnt
        assert [step[n] for n in learnt] == pytest.approx([expected[n] for n in learnt], rel=1e-6)
    assert sum(step["train/loss"] is not None for step in golden) >= 15
