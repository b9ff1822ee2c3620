"""What a run does not read is refused in one line, and exactly that."""

import copy
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
from command_line import run
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from dopsd.config.errors import UserError
from dopsd.config.saved import planned
from dopsd.config.unread import READ_BY_EVERY_RUN, reached
from dopsd.entry.composing import CONF, arms
from dopsd.job.plan import Settings


def plain(*overrides: str) -> DictConfig:
    with initialize_config_dir(CONF, version_base="1.3"):
        return compose("train", list(overrides))


def plan(*overrides: str) -> DictConfig:
    with initialize_config_dir(CONF, version_base="1.3"):
        config = compose("train", list(overrides), return_hydra_config=True)
        return planned(config, config.hydra)


def leaves(node: DictConfig, prefix: str = "") -> Iterator[str]:
    for name in map(str, node):
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not child._is_none() and not child._is_interpolation():
            yield from leaves(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def what_a_run_builds(config: DictConfig) -> list[Any]:
    return [OmegaConf.to_container(config[key], resolve=True) for key in NODES if config[key] is not None]


NODES = [key for key in READ_BY_EVERY_RUN if isinstance(plain().get(key), DictConfig)]


@pytest.mark.parametrize(
    "typed",
    ["rho=0.1", "teacher=ar_prefix", "lora=none", "topk=student", "clip=token", "parity=code", "method=sft"],
)
def test_a_key_is_reached_if_and_only_if_what_is_built_depends_on_it(typed: str) -> None:
    config = plain(typed, "paths.runs=there")
    read = reached(config, READ_BY_EVERY_RUN)
    before = what_a_run_builds(config)
    for key in leaves(config):
        if key.partition(".")[0] not in READ_BY_EVERY_RUN and not key.endswith("_target_"):
            changed = copy.deepcopy(config)
            OmegaConf.update(changed, key, "something else")
            assert (what_a_run_builds(changed) != before) == (key in read), key


def test_references_are_found_in_lists_in_resolvers_and_beside() -> None:
    config = OmegaConf.create(
        {
            "method": {
                "all": ["${a}", {"x": "${oc.select:b,1} ${c.d}"}],
                "near": {"it": "${.one}${..two}", "one": 1},
            },
            "two": "${method.near.nothing}",
        }
    )
    found = reached(config, ["method"])
    assert {"a", "b", "c.d", "method.near.one", "method.two", "method.near.it"} <= found
    assert "two" not in found


@pytest.mark.parametrize("method", arms("method"))
def test_a_method_reads_all_that_it_brings(method: str) -> None:
    config = plain(f"method={method}")
    read = reached(config, READ_BY_EVERY_RUN)
    assert [key for key in leaves(config) if key not in read and key.partition(".")[0] not in read] == []


def test_a_run_reads_its_settings() -> None:
    assert {field.name for field in fields(Settings)} <= set(READ_BY_EVERY_RUN)


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("teacher=ar_prefix rho=0.9", "rho=0.9: teacher=ar_prefix does not read it"),
        (
            "teacher=ar_prefix parity.region=masked",
            "parity.region=masked: teacher=ar_prefix does not read it",
        ),
        ("teacher=later_state rho=0.9", "rho=0.9: teacher=later_state does not read it"),
        ("topk=student parity.measure=max_logit", "parity.measure=max_logit: topk=student does not read it"),
        ("lora=none lora_r=4", "lora_r=4: lora=none does not read it"),
        ("experiment=embedded_base lora_alpha=4", "lora_alpha=4: lora=none does not read it"),
        (
            "method=d3llm answers=solutions temperature=0.5",
            "temperature=0.5: nothing in this run reads it (method=d3llm answers=solutions lora=default)",
        ),
        ("method=sft clip=token", "clip=token: method=sft does not read it"),
        ("method=sft model=llada_8b clip.maximum=1", "clip.maximum=1: method=sft does not read it"),
        ("method=sft parity=paper", "parity=paper: method=sft has only code, ours"),
        (
            "method=sft parity=code lora=none lora_targets=[q_proj]",
            "lora_targets=[q_proj]: lora=none does not read it",
        ),
        (
            "optimizer.lr=0.1 lr=0.2",
            "lr=0.2: nothing in this run reads it (method=dopsd teacher=suffix lora=default)",
        ),
    ],
)
def test_what_is_not_read_is_refused(typed: str, line: str) -> None:
    with pytest.raises(UserError) as raised:
        plan(*typed.split())
    assert raised.value.message == line


@pytest.mark.parametrize(
    "typed",
    [
        "method=sft parity=ours debug=fast_dev_run model=llada_8b",
        "method=sft model=llada_1_5 task=sudoku lora_targets=[q_proj]",
        "method=sft source=accepted_rollouts rollout.keep=all temperature=0.7",
        "method=sft source=files source.path=mine.jsonl parity=code lora=none",
        "teacher.retain_ratio=0.1 clip=token clip.maximum=2 lora.r=4",
        "lora=none teacher=ar_prefix parity=code",
        "experiment=embedded_base schedule.decay=cosine +model.more=1",
        "rollout.max_attempts=4 rollout=default usual=llada_8b logger=csv",
    ],
)
def test_what_is_read_is_not(typed: str) -> None:
    plan(*typed.split())


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (
            "method=sft rho=0.9 teacher=ar_prefix",
            "teacher=ar_prefix: method=sft has no teacher; method=dopsd has",
        ),
        ("method=sft rho=0.9", "rho=0.9: method=sft has no rho; method=dopsd has"),
        ("method=sft +rho=0.9", "+rho=0.9: method=sft has no rho; method=dopsd has"),
        (
            "experiment=embedded_base learning.learn_from=all",
            "learning.learn_from=all: method=sft has no learning; method=dopsd has",
        ),
        (
            "method=d3llm answers=solutions learn_from=all",
            "learn_from=all: answers=solutions has no learn_from",
        ),
        (
            "method=d3llm answers=student teacher_weights=ema",
            "teacher_weights=ema: answers=student has no teacher_weights",
        ),
        ("method=sft foo=1", "foo=1: no such key; --help lists what there is"),
        ("--multirun method=dopsd,sft rho=0.1", "rho=0.1: method=sft has no rho; method=dopsd has"),
        ("--multirun teacher=ar_prefix seed=1,2 rho=0.1", "rho=0.1: teacher=ar_prefix does not read it"),
    ],
)
def test_a_command_is_refused_before_anything_is_written(
    typed: str, line: str, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path_factory.mktemp("runs")
    where = (f"hydra.run.dir={there}/run", f"hydra.sweep.dir={there}/sweep")
    ran = run(capsys, "train", *typed.split(), *where)
    assert (ran.code, ran.err) == (2, f"dopsd: {line}\n")
    assert list(there.iterdir()) == []
