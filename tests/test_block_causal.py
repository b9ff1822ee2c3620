"""A model whose config.json says that it is block-causal: trained and evaluated as any other, and what it refuses."""

import json
from pathlib import Path

import pytest
from command_line import QUICK, read_json, run, small_model

SMALL_TASK = ("task.max_number=4", "task.dev=2", "task.test=2", "model.init=random")


def block_causal(directory: Path, length: int = 4) -> str:
    """The override that names a small model with blocks of so many tokens, which is made."""
    model = small_model(directory)
    fields = read_json(directory / "config.json") | {"visible": "block_causal", "block_length": length}
    (directory / "config.json").write_text(json.dumps(fields))
    return model


def test_a_run_keeps_finished_blocks_and_its_weights_say_that_they_are_block_causal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_directory, answers = tmp_path / "run", {}
    typed = (*QUICK, *SMALL_TASK, block_causal(tmp_path / "model"), "cache=exact", "lora=none")
    ran = run(capsys, "train", *typed, f"hydra.run.dir={run_directory}")
    assert ran.code == 0, ran.err
    assert "approximate" not in ran.out + ran.err
    assert (
        "block-causal student: nothing behind the active block" in (run_directory / "train.log").read_text()
    )
    saved = read_json(run_directory / "weights" / "final" / "config.json")
    assert (saved["visible"], saved["block_length"]) == ("block_causal", 4)
    for cache in ("exact", "null"):
        there = tmp_path / cache
        ran = run(
            capsys,
            "evaluate",
            f"checkpoint={run_directory}",
            "weights=final",
            f"cache={cache}",
            f"hydra.run.dir={there}",
        )
        assert ran.code == 0, ran.err
        lines = (there / "samples.jsonl").read_text().splitlines()
        answers[cache] = [json.loads(line)["response"] for line in lines]
    assert answers["exact"] == answers["null"] != []


@pytest.mark.parametrize(
    ("entry", "length", "typed", "named"),
    [
        (
            "train",
            None,
            "cache=exact",
            "cache=exact: needs a block-causal network, in this one all columns see each other",
        ),
        ("evaluate", 4, "cache=dual", "cache=dual: this network is block-causal, use exact or null"),
        (
            "probe",
            4,
            "probe=drift",
            "probe.ways=prefix cache: cache=prefix: this network is block-causal, use exact or null "
            "(probe.ways=[{threshold: 0.9}])",
        ),
        (
            "train",
            8,
            "cache=exact",
            "block_length=4: must be a multiple of 8, the length of this network's blocks",
        ),
        (
            "train",
            4,
            "teacher.region=later_blocks",
            "teacher.region=later_blocks: must be masked, a block-causal student sees no later blocks",
        ),
        (
            "train",
            1,
            "block_length=1 denoising_steps=8",
            "block_length=1: the teacher would be shown no more than a block-causal student sees; must be at least 2",
        ),
        (
            "train",
            4,
            "teacher=later_state topk.honest=true teacher.gap=2",
            "teacher.gap=2: the teacher would be shown every position that could be supervised; needs topk=masked "
            "topk.honest=false, or at most 1 steps",
        ),
    ],
)
def test_what_does_not_fit_is_one_line_before_anything_is_written(
    entry: str, length: int | None, typed: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = small_model(tmp_path / "model") if length is None else block_causal(tmp_path / "model", length)
    quick = (*QUICK[1:-1], *SMALL_TASK)
    ran = run(capsys, entry, *quick, model, *typed.split(), f"hydra.run.dir={tmp_path / 'run'}")
    assert (ran.code, ran.err.strip().splitlines()[-1]) == (2, f"dopsd: {named}")
    assert not (tmp_path / "run").exists()
