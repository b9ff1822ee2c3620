"""Every config file composes, every node in it builds, and what it shows is what its class takes."""

import re
from itertools import product
from pathlib import Path

import pytest
from command_line import run, small_model
from hydra import compose, initialize_config_dir
from naming import methods_with, typed
from omegaconf import DictConfig, OmegaConf

from dopsd.config.allowed import parameters_of
from dopsd.config.build import locate, prepare
from dopsd.config.errors import UserError
from dopsd.config.saved import chosen_arms, planned, remembered_overrides, with_command
from dopsd.entry.composing import CONF, arms
from dopsd.job.plan import Plan

FILES = sorted(file.relative_to(CONF).with_suffix("") for file in Path(CONF).rglob("*.yaml"))
NOT_COMPOSED = ("hydra",)
ARMS = [
    (str(file.parent), file.stem)
    for file in FILES
    if file.parent != Path() and file.parts[0] not in NOT_COMPOSED
]
BUILT = {
    "trainer": {"cpu"},
    "task": {"arithmetic", "countdown", "sudoku", "embedded_mixture"},
    "source": {"solutions", "accepted_rollouts", "teacher"},
    "pairs": {"rollouts", "solution_vs_refused"},
}  # others need hardware or data
ENTRY = {"probe": "probe"}  # of the groups that training does not have
GIVEN_LATER = {
    "held_out",
    "restore_best",
    "say",
    "network",
    "chat",
    "task",
    "model",
    "device",
    "save_dir",
    "run_name",
    "job_type",
    "group",
    "tags",
}


def composed(*overrides: str, entry: str = "train") -> DictConfig:
    with initialize_config_dir(CONF, version_base="1.3"):
        config = compose(entry, list(overrides), return_hydra_config=True)
        if entry == "train":
            return planned(config, config.hydra)
        return with_command(config, chosen_arms(config.hydra), remembered_overrides(config.hydra))


def builds(*overrides: str) -> bool:
    try:
        Plan.of(composed(*overrides))
    except UserError:
        return False
    return True


def choosing(group: str, arm: str) -> list[str]:
    """What is typed for an arm; one of `a/b` goes along with an arm of a and one of b."""
    if group == "model":  # whatever weights there are
        return [f"model={arm}", "model.path=tiny"]
    if (group, arm) == ("teacher_weights", "checkpoint"):
        return ["teacher_weights=checkpoint", "teacher_weights.path=tiny"]
    if group == "usual/lengths":
        return [f"usual={arm}"]
    if "/" not in group:
        return typed(group, arm)
    one, other = group.split("/")
    first = next(it for it in arms(one) if arm.startswith(f"{it}_"))
    return [f"{one}={first}", *typed(other, arm.removeprefix(f"{first}_"))]


def test_every_file_is_an_entry_an_arm_or_hydras_own() -> None:
    entries = {str(file) for file in FILES if file.parent == Path()}
    assert entries == {"train", "evaluate", "probe", "grade", "report"}
    for group in {group for group, _ in ARMS if "/" not in group}:
        assert methods_with(group), group


@pytest.mark.parametrize(("group", "arm"), ARMS)
def test_every_arm_composes_and_builds(group: str, arm: str) -> None:
    config = composed(*choosing(group, arm), "model.init=random", entry=ENTRY.get(group, "train"))
    assert config.command.arms[group] == arm
    if len(methods_with(group)) > 1:  # an arm need not go along with every method and task
        ways = product(methods_with(group), ("countdown", "sudoku"))
        assert any(builds(f"{group}={arm}", f"method={method}", f"task={task}") for method, task in ways)
    elif arm in BUILT.get(group, {arm}):
        Plan.of(config)
    if group in ENTRY:
        prepare(config, group)
    elif group == "trainer":
        prepare(config, "trainer")


@pytest.mark.parametrize("arm", ["ddp", "fsdp"])
def test_two_cpu_processes_build(arm: str) -> None:
    on_two = (f"trainer={arm}", "trainer.accelerator=cpu", "trainer.devices=2")
    hardware = Plan.of(composed(*on_two, "model.init=random")).hardware
    assert (hardware.processes, hardware.here, hardware.is_launched) == (2, 2, False)


@pytest.mark.parametrize(("group", "arm"), ARMS)
def test_a_node_shows_every_argument_of_its_class(group: str, arm: str) -> None:
    """What is not in the file could not be changed from the command line."""
    config = composed(*choosing(group, arm), entry=ENTRY.get(group, "train"))
    node = config.get(group)
    if isinstance(node, DictConfig) and str(node.get("_target_")).startswith("dopsd."):
        assert set(parameters_of(locate(node._target_, group))) - GIVEN_LATER <= set(node)


def test_parity_arms_set_the_same_switches() -> None:
    switches = {arm: set(composed(f"parity={arm}").parity) for arm in ("ours", "paper", "code")}
    assert switches["ours"] == switches["paper"] == switches["code"]


def test_every_parity_switch_is_read() -> None:
    text = "".join(file.read_text() for file in Path(CONF).rglob("*.yaml"))
    assert set(composed().parity) == set(re.findall(r"\$\{parity\.(\w+)\}", text))


def test_overlays_win_over_the_model_and_the_command_line_over_all() -> None:
    assert composed("model=llada_8b").clip._target_.endswith("PointwiseClip")
    assert composed("model=llada_8b", "clip=none").clip._target_.endswith("NoClip")
    assert composed("parity=code", "updates_per_rollout=2").learning.updates_per_rollout == 2
    assert composed("parity=code").learning.updates_per_rollout == 4
    assert composed("parity=code").lora.targets == ["q_proj", "k_proj", "v_proj", "up_proj"]
    assert composed("debug=fast_dev_run", "experiment=embedded_base").max_steps == 1


@pytest.mark.parametrize(
    ("overrides", "differs"),
    [
        (("parity=code", "task=sudoku"), {"keep": "last_best", "accept_score": 0.25, "max_attempts": 8}),
        (("parity=paper", "task=sudoku"), {"keep": "first", "accept_score": 0.25}),
        (("parity=ours", "task=sudoku"), {"keep": "first", "score": None}),
        (("parity=code", "teacher=ar_prefix"), {"max_attempts": 1, "learn_from": "all"}),
        (("parity=paper", "teacher=ar_prefix"), {"max_attempts": 8, "learn_from": "accepted"}),
    ],
)
def test_parity_knows_its_special_cases(overrides: tuple[str, ...], differs: dict[str, object]) -> None:
    config = composed(*overrides, "model.init=random")
    Plan.of(config)
    values = {**config.task, **config.learning, **config.rollout, "max_attempts": config.max_attempts}
    assert {key: values[key] for key in differs} == differs


def test_lengths_follow_the_task_and_then_the_model() -> None:
    def lengths(*overrides: str) -> tuple[int, int, int]:
        config = composed(*overrides)
        return config.gen_length, config.block_length, config.denoising_steps

    assert lengths("task=sudoku") == (40, 8, 20)
    assert lengths("task=sudoku", "model=llada_8b") == lengths("model=llada_1_5") == (256, 32, 128)


@pytest.mark.parametrize("entry", ["train", "evaluate", "probe"])
def test_help_names_every_group_and_every_number(entry: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, entry, "--help").out
    of_others = "".join(run(capsys, "train", "--help", f"method={method}").out for method in arms("method"))
    config = composed(entry=entry)
    groups = {group for group, _ in ARMS if ENTRY.get(group, entry) == entry and "/" not in group}
    assert {group for group in groups if f"\n{group}: " not in text + of_others} == set()
    files = [entry, "method/dopsd", "rollout/default"] if entry == "train" else [entry]
    own = [str(key) for file in files for key in OmegaConf.load(Path(CONF) / f"{file}.yaml")]
    numbers = [key for key in own if key in config and not OmegaConf.is_config(config[key])]
    assert [key for key in numbers if not re.search(rf"\b{key}\b", text)] == []


def test_help_is_of_the_chosen_method(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "train", "--help", "method=sft", "model=llada_8b").out
    assert "method=sft:" in text
    assert "\noptimizer: adamw\n" in text
    assert not re.search(r"^ *(rho|temperature|max_attempts|clip|teacher|topk|rollout)\b", text, re.MULTILINE)


def test_cfg_job_prints_the_config_and_checks_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "train", "--cfg", "job", "rho=0.1", "model.path=/nowhere")
    assert ran.code == 0
    assert "rho: 0.1" in ran.out


def test_small_model_is_a_model(tmp_path: Path) -> None:
    Plan.of(composed(small_model(tmp_path / "model"), "model.init=random"))


DECODING = {"remasking": "margin", "threshold": 0.9, "end_of_text": "last", "cfg_scale": 0.5, "cache": "dual"}


@pytest.mark.parametrize("key", DECODING)
def test_the_ways_of_decoding_are_keys_of_rollouts_and_of_evaluations(key: str) -> None:
    value = DECODING[key]
    evaluation = Plan.of(composed(f"{key}={value}", "model.init=random", entry="evaluate"))
    assert getattr(evaluation.evaluation_sampler, key) == value
    training = Plan.of(composed(f"{key}={value}", "model.init=random"))
    assert getattr(training.method.arguments["rollout"].sampler, key) == value
    approximate = key in ("threshold", "cache")  # held-out accuracy is not
    assert getattr(training.evaluation_sampler, key) == (None if approximate else value)
    only_rollouts = Plan.of(composed(f"rollout.sampler.{key}={value}", "model.init=random"))
    assert getattr(only_rollouts.method.arguments["rollout"].sampler, key) == value
    assert getattr(only_rollouts.evaluation_sampler, key) != value


def test_a_large_models_evaluation_has_a_budget() -> None:
    for entry in ("train", "evaluate"):
        large, small = (composed(f"model={model}", entry=entry) for model in ("llada_8b", "tiny"))
        assert (large.eval_batch_size, large.eval_batch_tokens) == (32, 16384)
        assert small.eval_batch_tokens is None
    plan = Plan.of(composed("eval_batch_tokens=512", "model.init=random"))
    assert plan.settings.eval_batch_tokens == 512


def test_tries_in_parallel_are_a_key_of_rollouts() -> None:
    plan = Plan.of(composed("rollout.parallel_tries=4", "model.init=random"))
    assert plan.method.arguments["rollout"].parallel_tries == 4
