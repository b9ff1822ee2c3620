"""Directories of runs as training leaves them, without any training."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from dopsd.evaluation.interval import Interval
from dopsd.method.budget import BUDGET

ARMS = {"task": "countdown", "method": "dopsd", "model": "tiny", "trainer": "cpu"}
_NODES = ("model", "task", "method", "trainer", "evaluation_sampler")


def began(directory: Path, *overrides: str, steps: int = 2, **arms: str) -> Path:
    """A run that has written its config and, after each of some steps, a row of metrics."""
    directory.mkdir(parents=True)
    command = {"arms": ARMS | arms, "overrides": list(overrides)}
    nodes: dict[str, Any] = {node: {} for node in _NODES}
    (directory / "config.yaml").write_text(yaml.safe_dump({"command": command, **nodes}))
    head = ["step", *(f"budget/{name}" for name in BUDGET), "eval/accuracy", "distill/entropy"]
    rows = [
        [step, *(step * (k + 1) for k in range(len(BUDGET))), 0.2 + step / 10, 1.0]
        for step in range(steps + 1)
    ]
    (directory / "metrics.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in [head, *rows]))
    return directory


def ended(
    directory: Path, right: Sequence[bool], *overrides: str, summary: Mapping[str, Any] = {}, **arms: str
) -> Path:
    """A run whose weights all gave these answers, to problems numbered from 0."""
    began(directory, *overrides, **arms)
    (directory / "samples").mkdir()
    figures = vars(Interval.of(sum(right), len(right))) | {"training_step": 0}
    for weights in ("base", "best", "final"):
        whose = {"weights": weights, "training_step": 0, "metric": "correct"}
        of = {"prompt": "1 + 1 <?", "gold": "2", "response": "</pre>2", "extracted": "2"}
        rows = [
            whose
            | of
            | {"id": str(i), "verdict": "correct" if it else "wrong", "metrics": {"correct": float(it)}}
            for i, it in enumerate(right)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (directory / "samples" / f"{weights}.jsonl").write_text(text)
    seed = next((int(typed[5:]) for typed in overrides if typed.startswith("seed=")), 42)
    content = dict.fromkeys(("base", "best", "final"), figures) | {"metric": "correct"}
    content |= {"seed": seed, "device_seconds": 2.0}
    command = {"arms": ARMS | arms, "overrides": list(overrides)}
    (directory / "summary.json").write_text(json.dumps(content | command | dict(summary)))
    return directory
