"""Runs that start from a run's weights or from an adapter, and weights exported for other programs."""

import json
from pathlib import Path

import pytest
from command_line import QUICK, SHORT, read_json, run

TASK = ("task.max_number=4", "task.dev=3", "task.test=3")
TRAIN = (*QUICK, *TASK, "lr=0.3", "max_steps=2", "seed=1")
EVALUATE = (*SHORT, *TASK, "eval_limit=2", "seed=1")


@pytest.fixture(params=["default", "none"])
def first(
    request, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], half_accepted: None
) -> Path:
    directory = tmp_path / "first"
    lora = ("lora=none",) if request.param == "none" else ("lora_r=2",)
    typed = (*TRAIN, model, "model.init=random", *lora, f"hydra.run.dir={directory}")
    ran = run(capsys, "train", *typed)
    assert ran.code == 0, ran.err
    return directory


def answers(directory: Path) -> list[str]:
    """Of an evaluation, or of a run's final weights."""
    of_a_run = directory / "samples" / "final.jsonl"
    file = of_a_run if of_a_run.exists() else directory / "samples.jsonl"
    return [json.loads(line)["response"] for line in file.read_text().splitlines()]


def exported(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    ran = run(capsys, "export", *arguments)
    return ran.code, ran.err


def test_a_run_goes_on_from_a_runs_weights_and_these_are_exported(
    first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The base of the second run is the final weights of the first, and so is what is exported."""
    final, second = first / "weights" / "final", tmp_path / "second"
    ran = run(capsys, "train", *TRAIN, f"init={final}", f"hydra.run.dir={second}")
    assert ran.code == 0, ran.err
    of_first, of_second = read_json(first / "summary.json"), read_json(second / "summary.json")
    assert of_second["base"]["accuracy"] == of_first["final"]["accuracy"]
    if of_second["best"]["training_step"] == 0:
        assert of_second["best"]["accuracy"] == of_first["final"]["accuracy"]
    ran = run(
        capsys,
        "evaluate",
        *EVALUATE[-2:],
        f"checkpoint={second}",
        "weights=final",
        f"hydra.run.dir={tmp_path / 'e'}",
    )
    assert ran.code == 0, ran.err
    assert answers(tmp_path / "e") == answers(second)
    code, said = exported(capsys, str(final), "to=official", f"out={tmp_path / 'out'}")
    assert code == 0, said
    typed = (*EVALUATE, f"model.path={tmp_path / 'out'}", f"hydra.run.dir={tmp_path / 'm'}")
    ran = run(capsys, "evaluate", *typed)
    assert ran.code == 0, ran.err
    assert answers(tmp_path / "m") == answers(first)
    code, said = exported(capsys, str(final), "to=merged", f"out={tmp_path / 'out'}")
    assert (code, said) == (
        2,
        f"dopsd: out={tmp_path / 'out'}: must be a directory that does not exist or is empty\n",
    )


@pytest.mark.parametrize("first", ["default"], indirect=True)
def test_an_adapter_is_evaluated_and_trained_on_and_refused_where_it_contradicts(
    first: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = exported(capsys, str(first / "weights" / "final"), "to=peft", f"out={tmp_path / 'peft'}")
    assert code == 0, said
    adapter = f"adapter={tmp_path / 'peft'}"
    typed = (model, "model.init=random")
    ran = run(capsys, "evaluate", *EVALUATE, *typed, adapter, f"hydra.run.dir={tmp_path / 'e'}")
    assert ran.code == 0, ran.err
    assert answers(tmp_path / "e") == answers(first)
    for wrong, line in {
        "lora_r=3": f"lora_r=3: {adapter} has 2, leave it out",
        "lora_alpha=1": f"lora_alpha=1: {adapter} has 32, leave it out",
        "lora=none": f"lora=none: {adapter} is one (lora=default)",
        "model=tiny model.path=tiny": f"{adapter}: {tmp_path / 'peft'}: model.",
    }.items():
        ran = run(
            capsys, "train", *TASK, *SHORT, *typed, *wrong.split(), adapter, f"hydra.run.dir={tmp_path / 'w'}"
        )
        assert ran.code == 2
        assert f"dopsd: {line}" in ran.err.replace("base_model.model.model.", "model."), ran.err
        assert not (tmp_path / "w").exists()
    for wrong, said in {
        ("evaluate", f"checkpoint={first}", adapter): f"adapter: checkpoint={first} has weights of its own",
        ("train", f"init={first}", adapter): f"{adapter}: init={first} has weights of its own",
        ("train", "init=nowhere"): "init=nowhere: must be a run's directory",
        ("train", "adapter=nowhere"): "adapter=nowhere: no adapter_config.json in nowhere",
    }.items():
        ran = run(capsys, *wrong, f"hydra.run.dir={tmp_path / 'w'}")
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert ran.err.startswith(f"dopsd: {said}")


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (("to=peft",), "RUN is missing: python -m dopsd.export RUN to=peft|merged|official"),
        (("runs", "to=gguf"), "to=gguf: must be one of peft, merged, official"),
        (
            ("nowhere", "to=peft"),
            "RUN=nowhere: must be a run's directory, or one with runs in it that have best weights",
        ),
        (("a", "b"), "b: RUN is there already (a); only RUN, to= and out= are read"),
    ],
)
def test_a_wrong_export_is_one_line(typed, line, capsys: pytest.CaptureFixture[str]) -> None:
    assert exported(capsys, *typed) == (2, f"dopsd: {line}\n")
