"""Every arm and every experiment that is found takes a training step and an evaluation, and leaves a run's files."""

from pathlib import Path

import pytest
from command_line import QUICK, read_json, run
from naming import choices_of, methods_with
from omegaconf import OmegaConf

from dopsd.entry.composing import CONF, arms

PUZZLES = ("task.max_number=4", "task.dev=2", "task.test=2")
POLICY = {f"method={method}" for method in ("diffu_grpo", "wd1", "spg", "espo")}
GROUPS = (
    "model=tiny",
    "debug=fast_dev_run",
    "eval_limit=2",
)  # of the embedded model: right and wrong answers
SFT = ("gen_length=48", "block_length=24", "denoising_steps=2")  # a canvas that holds a solution
AUTOREGRESSIVE = ("gen_length=48", "block_length=1", "denoising_steps=48")
NOT_HERE = {
    "model": {
        *("llada_8b", "llada_1_5", "d3llm_llada", "dream_7b", "qwen3_0_6b", "smollm2_135m"),  # weights
        "tiny_ar",  # autoregressive: tests/test_autoregressive.py
    },
    "trainer": {"gpu", "ddp", "fsdp"},  # devices; two processes are tested elsewhere
    "task": {"gsm8k", "gsm_symbolic", "math500", "jsonl"},  # data; a file: tests/test_foreign_task.py
    "teacher_weights": {"checkpoint"},  # a model: tests/method/test_teacher_weights.py
    "pairs": {"files"},  # a file: tests/method/test_pair_file.py
    "source": {
        "files",
        "teacher",
    },  # a file: tests/method/test_response_file.py; tests/test_autoregressive.py
    "debug": {"fast_dev_run"},  # every run here is one
}


def found() -> list[str]:
    """`group=arm` for every arm of every group of training that a plain run has not."""
    usual = choices_of("dopsd")
    groups = [group for group in usual if "/" not in group]
    return [
        f"{group}={arm}"
        for group in sorted(groups)
        for arm in arms(group)
        if arm != usual[group] and arm not in NOT_HERE.get(group, ())
    ]


def of_some_methods() -> list[list[str]]:
    """For the arms that only some methods bring: one of each group in a run, until none is left.

    By the first method that brings the group. Those that it has by itself are in the method's own run.
    """
    left: dict[str, dict[str, list[str]]] = {}
    for method in arms("method"):
        for group, usual in sorted(choices_of(method).items()):
            if "/" not in group and methods_with(group)[0] == method != "dopsd":
                known = {usual, *NOT_HERE.get(group, ())}
                left.setdefault(method, {})[group] = [arm for arm in arms(group) if arm not in known]
    return [
        [f"method={method}", *(f"{group}={of[run % len(of)]}" for group, of in groups.items() if of)]
        for method, groups in left.items()
        for run in range(max(map(len, groups.values())))
    ]


def test_no_group_is_forgotten() -> None:
    groups = {folder.name for folder in Path(CONF).iterdir() if folder.is_dir()}
    with_choices = {choice.partition("=")[0] for choice in found()} | NOT_HERE.keys()
    of_one_arm = {group for group in groups if len(arms(group)) == 1}
    of_methods = {choice for run in of_some_methods() for choice in run}
    with_choices |= {choice.partition("=")[0] for choice in of_methods}
    assert groups - with_choices - of_one_arm == {"probe", "hydra"}
    assert {"likelihood=trajectory", "advantage=standardised", "answers=solutions"} < of_methods
    assert all(known in found() for known in ("teacher=ar_prefix", "experiment=embedded_base"))


@pytest.mark.parametrize(
    "choices", [["rho=0.25"], *([it] for it in found()), *of_some_methods()], ids=" ".join
)
def test_fast_run(
    choices: list[str],
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    first, typed = choices[0], set(choices)
    more = () if first.startswith(("task=", "experiment=")) else PUZZLES
    if first == "experiment=tiny_ar":
        more += AUTOREGRESSIVE
    elif first.startswith(("method=sft", "method=vrpo", "experiment=")) or "answers=solutions" in typed:
        more += SFT
    where = f"hydra.run.dir={tmp_path / 'run'}"
    needs_right_ones = first in POLICY or "source=accepted_rollouts" in typed
    small = GROUPS if needs_right_ones else (*QUICK, model, "model.init=random", *more)
    updates = 2 if first in POLICY else 1
    if first in POLICY and len(choices) > 1:  # some likelihoods take many forwards
        small, updates = (*small, "prompts_per_step=4", "inner_updates=1", "denoising_steps=10"), 1
    if "source=accepted_rollouts" in typed:
        small += ("prompts_per_step=8",)  # enough that one is accepted
    if "reward=d1_sudoku" in typed:
        small += ("task=sudoku",)  # whose cells it counts
    ran = run(capsys, "train", *small, *choices, where)
    assert ran.code == 0, ran.err
    overrides = OmegaConf.load(tmp_path / "run" / "config.yaml").command.overrides
    assert all(overrides.count(choice) == 1 for choice in choices)
    summary = read_json(tmp_path / "run" / "summary.json")
    assert summary["optimizer_steps"] == updates
    assert summary["final"]["n"] == 2


def test_sweep_has_one_directory_a_job(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = f"hydra.sweep.dir={tmp_path / 'sweep'}"
    ran = run(
        capsys, "train", "--multirun", *QUICK, model, "model.init=random", "rho=0.25,0.5", *PUZZLES, where
    )
    assert ran.code == 0, ran.err
    summaries = sorted((tmp_path / "sweep").glob("*/summary.json"))
    assert len(summaries) == 2
    assert {"rho=0.25", "rho=0.5"} == {
        o for s in summaries for o in read_json(s)["overrides"] if o.startswith("rho")
    }
