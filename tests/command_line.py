"""Runs the entries in this process, as the command line would, on a model that is smaller than the embedded one."""

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from dopsd import dashboard, evaluate, export, probe, train
from dopsd.model.checkpoint import TINY_DIRECTORY
from dopsd.report import __main__ as report

ENTRIES = {
    **{"train": train.main, "evaluate": evaluate.main, "probe": probe.main, "report": report.main},
    **{"export": export.main, "dashboard": dashboard.main},
}
SMALL = {"d_model": 16, "n_heads": 1, "n_kv_heads": 1, "n_layers": 1, "mlp_hidden_size": 16}
SHORT = ("gen_length=8", "block_length=4", "denoising_steps=4")
QUICK = ("debug=fast_dev_run", *SHORT, "eval_limit=2", "max_steps=1")


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it wrote to the terminal."""

    code: int
    out: str
    err: str


def run(capsys: pytest.CaptureFixture[str], entry: str, *arguments: str) -> Ran:
    """One command; exceptions other than its exit come through."""
    capsys.readouterr()
    code = 0
    with mock.patch.object(sys, "argv", [entry, *arguments]):
        try:
            ENTRIES[entry]()
        except SystemExit as exit_:
            code = int(exit_.code or 0)
    captured = capsys.readouterr()
    return Ran(code=code, out=captured.out, err=captured.err)


def small_model(directory: Path) -> str:
    """The override that names a randomly initialised model in the directory, which is made."""
    directory.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TINY_DIRECTORY / name, directory / name)
    config = json.loads((TINY_DIRECTORY / "config.json").read_text()) | SMALL
    (directory / "config.json").write_text(json.dumps(config))
    return f"model.path={directory}"


def read_json(file: Path) -> dict[str, Any]:
    """The content of a JSON file."""
    return json.loads(file.read_text())
