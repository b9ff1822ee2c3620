"""From an autoregressive model to a block-diffusion model and on, command by command; and what cannot be started so."""

from pathlib import Path

import pytest
from command_line import QUICK, read_json, run, small_model

from dopsd.model import load_model, save_weights
from dopsd.model.checkpoint import EMBEDDED, read_config


def at(name: str) -> str:
    return f"hydra.run.dir=runs/{name}/here"


@pytest.fixture
def autoregressive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The override that names an autoregressive model of random weights; runs go into a directory of the test's own."""
    monkeypatch.chdir(tmp_path)
    directory = Path("ar")
    path = small_model(directory)
    save_weights(load_model(directory, init="random", visible="causal", reading="next"), directory)
    return path


@pytest.mark.parametrize(("lora", "method"), [("none", "sft"), ("default", "dopsd")])
def test_its_student_is_a_model_like_any_other(
    autoregressive: str, lora: str, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = ("method=opdlm", "sft_share=0.5", f"lora={lora}")
    opdlm = run(capsys, "train", *QUICK, autoregressive, *typed, at("opdlm"))
    assert opdlm.code == 0, opdlm.err
    student = Path("runs/opdlm/here")
    if lora == "none":
        said = read_config(student / "weights/final")
        assert (said.visible, said.block_length, said.reading) == ("block_causal", 4, "own")
    evaluated = run(capsys, "evaluate", f"checkpoint={student}", "eval_limit=2")
    assert evaluated.code == 0, evaluated.err
    ran = run(capsys, "train", *QUICK, f"init={student}", f"method={method}", at(method))
    assert ran.code == 0, ran.err
    again = run(capsys, "train", *QUICK, f"init={student}", "method=opdlm")
    assert again.code == 2
    assert "needs autoregressive weights" in again.err
    if lora == "none":
        learns_again(capsys, student)
    other_blocks = run(capsys, "train", *QUICK, f"init={student}", "block_length=8")
    assert (other_blocks.code, other_blocks.err.strip()) == (
        2,
        "dopsd: block_length=8: must be 4, as the network has visible=block_causal",
    )


def learns_again(capsys: pytest.CaptureFixture[str], student: Path) -> None:
    """A student that is block-causal already learns from another model, not from what it was."""
    typed = (*QUICK, f"init={student}", "method=opdlm", "visible=null")
    own = run(capsys, "train", *typed)
    assert (own.code, own.err) == (
        2,
        "dopsd: teacher_weights=fixed: needs autoregressive weights (visible=causal), the student's have "
        "visible=block_causal; teacher_weights=checkpoint takes another model's\n",
    )
    others = run(
        capsys, "train", *typed, "teacher_weights=checkpoint", "teacher_weights.path=ar", at("other_teacher")
    )
    assert others.code == 0, others.err


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["method=opdlm", "teacher_weights=live"], "teacher_weights=live: must be fixed or checkpoint"),
        (
            ["method=opdlm", "teacher_weights=checkpoint", "teacher_weights.path=tiny"],
            "teacher_weights.path=tiny: visible=all, must be causal, as an autoregressive model is",
        ),
        (["method=opdlm", "vocab_top_k=0"], "vocab_top_k=0: must be an integer of at least 1 or null"),
        (["method=opdlm", "block_length=3"], "gen_length=8: must be a multiple of block_length=3"),
        (
            ["method=opdlm", "updates_per_rollout=3"],
            "updates_per_rollout=3: must be at most prompts_per_step=2, one answer each",
        ),
        (
            ["method=opdlm", "sft_share=0.3"],
            "sft_share=0.3: must be a multiple of 1/2 (prompts_per_step=2)",
        ),
        (
            ["method=sft", "source=teacher", "visible=block_causal", "reading=own", "threshold=0.9"],
            "threshold=0.9: must be null with source=teacher, one token after another",
        ),
        (["method=opdlm", "visible=all"], "visible=all: method=opdlm trains visible=block_causal ("),
        (["method=dopsd"], "visible=causal: method=dopsd trains visible=all or block_causal ("),
        (["method=sft"], "block_length=4: must be 1 (and denoising_steps as gen_length), as the network has"),
    ],
)
def test_what_an_autoregressive_start_cannot_be(
    autoregressive: str, overrides: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = run(capsys, "train", *QUICK, autoregressive, *overrides)
    assert ran.code == 2
    assert ran.err.startswith(f"dopsd: {line}")
    assert ran.err.count("\n") == 1


def test_it_is_not_evaluated_in_blocks(autoregressive: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What stands behind a masked token would be read of [MASK]."""
    ran = run(capsys, "evaluate", *QUICK[1:-1], autoregressive, at("evaluate"))
    assert (ran.code, ran.err) == (
        2,
        "dopsd: block_length=4: must be 1 (and denoising_steps as gen_length), as the network has visible=causal\n",
    )


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            ["method=opdlm"],
            "visible=block_causal: needs autoregressive weights (visible=causal), not visible=all",
        ),
        (["method=sft", "visible=causal"], "visible=causal: needs autoregressive weights"),
        (
            ["method=sft", "visible=causal", "model.init=random"],
            "reading=own: must be next with visible=causal, where a column sees its own token",
        ),
    ],
)
def test_what_a_bidirectional_start_cannot_be(
    overrides: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = run(capsys, "train", *QUICK, *overrides)
    assert ran.code == 2
    assert ran.err.startswith(f"dopsd: model.path=tiny: {line}")
    assert ran.err.count("\n") == 1


def test_the_embedded_one_answers_token_by_token_and_learns_to_write_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = read_config(EMBEDDED["tiny_ar"])
    assert (said.visible, said.reading) == ("causal", "next")
    token_by_token = ("block_length=1", "denoising_steps=40", "cache=exact", "task=sudoku", "eval_limit=32")
    evaluated = run(capsys, "evaluate", "model=tiny_ar", *token_by_token, at("evaluate"))
    assert evaluated.code == 0, evaluated.err
    assert read_json(Path("runs/evaluate/here/evaluation.json"))["rows"][0]["accuracy"] > 0.1
    learnt = run(capsys, "train", "debug=fast_dev_run", "eval_limit=2", "model=tiny_ar", "method=opdlm")
    assert learnt.code == 0, learnt.err
