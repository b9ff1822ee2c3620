"""LoRA's dropout and a form of masks are refused where nothing reads them, and only there."""

import pytest
from hydra import compose, initialize_config_dir

from dopsd.config.errors import UserError
from dopsd.config.saved import planned
from dopsd.entry.composing import CONF
from dopsd.job import Plan

SMALL = ("task.max_number=4", "task.dev=2", "task.test=2")
AUTOREGRESSIVE = "model=tiny_ar gen_length=48 block_length=1 denoising_steps=48"


def plan(typed: str) -> Plan:
    with initialize_config_dir(CONF, version_base="1.3"):
        config = compose("train", [*SMALL, *typed.split()], return_hydra_config=True)
        return Plan.of(planned(config, config.hydra))


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("method=diffu_grpo lora_dropout=0.1", "lora_dropout=0.1: method=diffu_grpo does not read it, its"),
        ("method=wd1 lora.dropout=0.1", "lora.dropout=0.1: method=wd1 does not read it, its likelihoods"),
        ("method=vrpo lora_dropout=0.1", "lora_dropout=0.1: method=vrpo does not read it, its likelihoods"),
        ("method=d3llm lora_dropout=0.1", "lora_dropout=0.1: must be 0 with entropy_weight=2, whose right"),
        (f"method=sft form=one_over_t {AUTOREGRESSIVE}", "form=one_over_t: visible=causal does not read it"),
    ],
)
def test_what_is_idle_is_refused(typed: str, line: str) -> None:
    with pytest.raises(UserError) as raised:
        plan(typed)
    assert raised.value.message.startswith(line)


@pytest.mark.parametrize(
    "typed",
    [
        "method=diffu_grpo lora_dropout=0.1 parity.rollout_dropout=true",  # the rollouts have it
        "method=diffu_grpo usual=llada_8b",  # its 0.05 was not asked for
        "method=d3llm lora_dropout=0.1 entropy_weight=0",
        "method=diffu_grpo lora_dropout=0",
        f"method=sft parity=code {AUTOREGRESSIVE}",
        "method=sft form=one_over_t gen_length=48 block_length=48 denoising_steps=1",
        "method=diffu_grpo parity=code inner_updates=2",
        "method=diffu_grpo parity=code inner_updates=12",
    ],
)
def test_what_is_read_is_not(typed: str) -> None:
    plan(typed)
