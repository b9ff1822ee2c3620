"""The way of LLaDA-8B, walked with a small random checkpoint in the official layout: from prompt to report."""

import json
from pathlib import Path

import pytest
from command_line import read_json, run, small_model

from dopsd.model import load_model, save_weights

DECODING = ("gen_length=16", "block_length=8", "denoising_steps=8", "eval_batch_size=2")


@pytest.fixture
def real(tmp_path: Path) -> tuple[str, ...]:
    """The overrides for a checkpoint with tokenizer files and a data set in files, all of it made here."""
    model, data = tmp_path / "llada", tmp_path / "gsm8k"
    small_model(model)
    save_weights(load_model(model, init="random"), model)
    data.mkdir()
    for part, size in (("train", 6), ("test", 3)):
        rows = [{"question": f"{part}: {n} and {n}?", "answer": f"Add.\n#### {2 * n}"} for n in range(size)]
        (data / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    where = ("task=gsm8k", "task.source=files", f"task.path={data}", "task.dev=2")
    return ("model=llada_8b", f"model.path={model}", *where, *DECODING)


def test_it_is_evaluated(real: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "evaluate", *real, f"hydra.run.dir={tmp_path / 'run'}")
    assert ran.code == 0, ran.err
    report = read_json(tmp_path / "run" / "evaluation.json")
    row = report["rows"][0]
    assert (row["task"], row["model"], row["n"], row["denoising_steps"]) == ("gsm8k", "llada_8b", 3, 8)
    assert report["manifest"]["dtype"] == row["batch_effect"]["dtype"] == "bfloat16"
    assert row["batch_effect"]["examples"] == 3
    samples = [json.loads(line) for line in (tmp_path / "run" / "samples.jsonl").read_text().splitlines()]
    assert [sample["id"].split("/")[:2] for sample in samples] == [["gsm8k", "test"]] * 3
    assert all("Problem: test: " in sample["prompt"] for sample in samples)
    assert {sample["verdict"] for sample in samples} <= {"correct", "wrong", "no_answer"}


def test_it_is_trained(real: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "train", *real, "debug=fast_dev_run", "lora_r=2", f"hydra.run.dir={tmp_path / 'run'}")
    assert ran.code == 0, ran.err
    summary = read_json(tmp_path / "run" / "summary.json")
    assert (summary["optimizer_steps"], summary["base"]["n"], summary["final"]["n"]) == (1, 3, 3)
