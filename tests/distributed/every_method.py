"""Two training steps of every method, as one process or as a rank of two: `every_method.py MODEL DIRECTORY RANK`.

As a script it writes what it found with whole networks and with divided ones to DIRECTORY, where the ranks meet.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from half_accepted import verdict
from hydra import compose, initialize_config_dir
from torch import Tensor

from dopsd.entry.composing import CONF
from dopsd.job import Plan, Student
from dopsd.model import shard, whole
from dopsd.stream import TrainingStream
from dopsd.task import Countdown

SMALL = (
    "gen_length=8",
    "block_length=4",
    "denoising_steps=4",
    "task.max_number=4",
    "task.dev=3",
    "task.test=3",
)
SMALL += (
    "model.init=random",
    "lora_r=2",
    "gradient_clip=1e6",
    "micro_batch_tokens=200",
    "prompts_per_step=6",
)
GROUPS = ("max_attempts=3", "inner_updates=2")
SOLVED = ("gen_length=48", "block_length=48", "denoising_steps=1")  # a canvas that holds a solution
METHODS = {
    "diffu_grpo": ("method=diffu_grpo", *GROUPS),
    "wd1": ("method=wd1", *GROUPS),
    "spg": ("method=spg", *GROUPS),
    "espo": ("method=espo", *GROUPS),
    "vrpo": ("method=vrpo", "group_size=3", "likelihood.samples=3"),
    "vrpo_online": ("method=vrpo", "pairs.writer=student", "group_size=3", "log_score_variance=true"),
    "sft": ("method=sft", "source=accepted_rollouts", "rollout.keep=all", "max_attempts=2"),
    "sft_solutions": ("method=sft", *SOLVED),
    "d3llm_solutions": ("method=d3llm", "answers=solutions", "block_lengths=[4,8]", *SOLVED),
    "d3llm": ("method=d3llm", "block_lengths=[4,8]", "max_attempts=2"),
    "later_state": ("teacher=later_state", "max_attempts=2"),
    "opdlm": ("method=opdlm", "updates_per_rollout=2", "growing_steps=0"),
    "opdlm_taught": ("method=opdlm", "updates_per_rollout=2", "growing_steps=0", "sft_share=0.3333333333"),
}
Found = tuple[list[dict[str, float]], list[dict[str, Tensor]]]


def two_steps(name: str, model: str, *, is_sharded: bool = False) -> Found:
    """What is logged, one row after the other, and the gradients of each update."""
    with initialize_config_dir(CONF, version_base="1.3"):
        plan = Plan.of(compose("train", ["task=countdown", *SMALL, model, *METHODS[name]]))
    student = Student.load(plan)
    if is_sharded:
        student = replace(student, network=shard(student.network, plan.device))
    method: Any = student.method()
    rows: list[dict[str, float]] = []
    gradients: list[dict[str, Tensor]] = []
    trained = {name: weight for name, weight in method.network.named_parameters() if weight.requires_grad}

    def record(*_: object) -> None:
        gradients.append({name: whole(weight.grad).clone() for name, weight in trained.items()})

    optimizer = torch.optim.SGD(trained.values(), lr=0.1)
    optimizer.register_step_pre_hook(record)
    method.optimizers = lambda **_: optimizer
    method.manual_backward = lambda loss: loss.backward()
    method.log_step = lambda values: rows.append({key: float(value) for key, value in values.items()})
    method.network.train()
    size = plan.settings.prompts_per_step
    stream = TrainingStream(method.training_examples(), length=2 * size, seed=plan.settings.seed)
    for step in range(2):
        method.training_step([stream[number] for number in range(step * size, (step + 1) * size)], step)
    return [
        *rows,
        {key: value for key, value in method.budget.spent.items() if key != "device_seconds"},
    ], gradients


if __name__ == "__main__":
    chosen_model, directory, rank = sys.argv[1:]
    Countdown.verdict = verdict
    dist.init_process_group("gloo", init_method=f"file://{directory}/meeting", rank=int(rank), world_size=2)
    for strategy in ("ddp", "fsdp"):
        for arm in METHODS:
            found = two_steps(arm, chosen_model, is_sharded=strategy == "fsdp")
            torch.save(found, Path(directory, f"{strategy}_{arm}_{rank}.pt"))
    dist.destroy_process_group()
