"""A run as it is planned: everything cheap is built and checked, everything slow waits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import lightning as L
import torch
from omegaconf import DictConfig, OmegaConf
from pydantic import Field

from dopsd.config.build import Recipe, build, prepare, prepare_top_level, required, typed_key
from dopsd.config.errors import UserError
from dopsd.config.rows import approximate_settings
from dopsd.diffusion.block_cache import check_blocks
from dopsd.diffusion.sampler import BlockSampler
from dopsd.evaluation.decode import EvaluationPrompts
from dopsd.job.checkpoints import check_checkpoint
from dopsd.job.dropout import check_dropout
from dopsd.job.hardware import Hardware
from dopsd.job.launcher import environment
from dopsd.job.learnable import check_learnable, check_revealing
from dopsd.job.limits import check_limits
from dopsd.job.structure import check_form, check_own_blocks, check_trainable
from dopsd.method.budget import BUDGET, StopAt
from dopsd.method.teacher_weights import EMAWeights
from dopsd.model.configuration import LLaDAConfig
from dopsd.model.options import check_options
from dopsd.setting import setting
from dopsd.task import SPLITS, Example, Split, Task

AtLeastOne = Annotated[int, Field(ge=1)]


@setting
class Settings:
    """The numbers that a run itself reads."""

    seed: Annotated[int, Field(ge=0, lt=2**63)]
    max_steps: AtLeastOne
    prompts_per_step: AtLeastOne
    eval_every: AtLeastOne
    eval_batch_size: AtLeastOne
    eval_batch_tokens: AtLeastOne | None
    eval_limit: AtLeastOne | None
    long_prompts: Literal["refuse", "skip"]
    max_prompt_length: AtLeastOne | None
    early_stopping: AtLeastOne | None
    curve_over: str

    def __post_init__(self) -> None:
        if self.curve_over not in BUDGET:
            raise ValueError(f"curve_over={self.curve_over}: must be one of {', '.join(BUDGET)}")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a config says; recipes wait for what only a running job has."""

    settings: Settings
    stop_at: StopAt | None
    task: Task
    evaluation_sampler: BlockSampler
    evaluation_prompts: EvaluationPrompts
    model: Recipe
    lora: Recipe | None
    adapter: Path | None
    method: Recipe
    trained_by: str | None  # the method's arm; None in an evaluation
    trainer: Recipe
    logger: Recipe | None
    guard: Recipe | None
    hardware: Hardware

    @classmethod
    def of(cls, config: DictConfig, *, is_here: bool = True) -> "Plan":
        """Raises UserError for anything in the config that cannot work; `is_here`: on this machine."""
        trainer, method = required(config, "trainer"), required(config, "method")
        plan = cls(
            settings=prepare_top_level(config, Settings)(),
            stop_at=build(config, "stop_at"),
            task=build(config, "task"),
            evaluation_sampler=_evaluation_sampler(config, method),
            evaluation_prompts=build(config, "evaluation") or EvaluationPrompts(),  # older runs have none
            model=required(config, "model"),
            lora=prepare(config, "lora"),
            adapter=None if config.get("adapter") is None else Path(config.adapter),
            method=method,
            trained_by=None if "checkpoint" in config else _typed_method(config, method),
            trainer=trainer,
            logger=prepare(config, "logger"),
            guard=prepare(config, "callbacks"),
            hardware=Hardware.of(trainer, config) if is_here else Hardware.elsewhere(),
        )
        _check_share(plan, config)
        _check_sharding(plan)
        _check_guard(plan)
        _check_quantization(plan)
        if is_here:
            plan.model.check(check_options, device=plan.device)
        _check_examples(plan, config)
        _check_solutions(plan)
        if plan.trained_by is not None:
            check_limits(plan)
            check_learnable(plan.method.arguments, config)
            check_dropout(plan.method, plan.lora, config, arm=plan.trained_by)
            plan.method.check(plan.method.target.check, task=plan.task)
        check_checkpoint(plan)
        return plan

    @property
    def device(self) -> torch.device:
        """Where this process puts the network."""
        return self.hardware.device

    @property
    def approximate_rollouts(self) -> list[str]:
        """The settings, as they are typed, by which training samples in another way than exactly."""
        rollout = _rollout_sampler(self.method)
        return [] if rollout is None else approximations(rollout)

    def check_network(self, network: LLaDAConfig) -> None:
        """Raises UserError for a method or a sampler that does not fit who sees whom in the network."""
        if self.trained_by is not None:
            check_trainable(network, self.method, arm=self.trained_by, path=self.model.arguments["path"])
            check_form(network, self.method)
            if network.visible == "block_causal":
                check_revealing(self.method.arguments, self.method.config)
        for sampler in filter(None, (_rollout_sampler(self.method), self.evaluation_sampler)):
            try:
                check_blocks(sampler.cache, sampler.block_length, of_network=network.structure.own_blocks)
            except ValueError as error:
                raise UserError(str(error)) from error
        if self.trained_by is not None or network.visible == "causal":
            check_own_blocks(network, self.method, self.evaluation_sampler, self.method.config)

    def examples(self, split: Split) -> Sequence[Example]:
        """What is evaluated of a split: its first `eval_limit` examples."""
        return self.task.examples(split)[: self.settings.eval_limit]

    def make_trainer(self, **given: object) -> L.Trainer:
        """The trainer without what this project does in its own way."""
        return self.trainer(
            max_epochs=1,
            log_every_n_steps=1,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            plugins=environment(),
            **given,
        )


def approximations(sampler: BlockSampler) -> list[str]:
    """The settings by which a sampler is not exact, as `key=value`."""
    return [f"{key}={value}" for key, value in approximate_settings(sampler).items()]


def _typed_method(config: DictConfig, method: Recipe) -> str:
    """Its arm, or its class where nobody typed a command."""
    return OmegaConf.select(config, "command.arms.method", default=method.target.__name__)


def _rollout_sampler(method: Recipe) -> BlockSampler | None:
    rollout = method.arguments.get("rollout")
    return None if rollout is None else rollout.sampler


def _evaluation_sampler(config: DictConfig, method: Recipe) -> BlockSampler:
    """That of the config, with the rollouts' cache where this changes nothing but speed."""
    sampler, of_rollouts = build(config, "evaluation_sampler"), _rollout_sampler(method)
    if of_rollouts is not None and of_rollouts.cache == "exact":
        return replace(sampler, cache="exact")
    return sampler


def _check_share(plan: Plan, config: DictConfig) -> None:
    prompts, processes = plan.settings.prompts_per_step, plan.hardware.processes
    if prompts % processes and plan.trained_by is not None:
        key = typed_key(config, "prompts_per_step")
        raise UserError(f"{key}={prompts}: must be a multiple of the {processes} processes (trainer.devices)")
    updates = plan.method.arguments.get("updates_per_rollout", 1)
    if updates > prompts and plan.trained_by is not None:
        raise UserError(
            f"updates_per_rollout={updates}: must be at most prompts_per_step={prompts}, one answer each"
        )
    share = plan.method.arguments.get("sft_share", 0.0)
    if round(share * prompts, 6) % processes:
        each = f" on {processes} processes" if processes > 1 else ""
        raise UserError(
            f"sft_share={share:g}: must be a multiple of {processes}/{prompts} (prompts_per_step={prompts}{each})"
        )


def _check_sharding(plan: Plan) -> None:
    if not plan.hardware.is_sharded:
        return
    if plan.lora is None:
        raise UserError(
            "lora=none: trainer=fsdp divides the frozen weights and needs an adapter (lora=default)"
        )
    if isinstance(plan.method.arguments.get("teacher_weights"), EMAWeights):
        raise UserError("teacher_weights=ema: trainer=fsdp has fixed and live")
    quantization = plan.model.arguments.get("quantization")
    if quantization is not None:
        raise UserError(
            f"model.quantization={quantization}: must be null with trainer=fsdp, which divides plain weights"
        )


def _check_guard(plan: Plan) -> None:
    rolls_back = plan.guard is not None and plan.guard.arguments["action"] == "roll_back"
    if rolls_back and isinstance(plan.method.arguments.get("teacher_weights"), EMAWeights):
        raise UserError(
            "callbacks.action=roll_back: teacher_weights=ema keeps what the collapse left, use fixed or live"
        )


def _check_quantization(plan: Plan) -> None:
    quantization = plan.model.arguments.get("quantization")
    if quantization is not None and plan.lora is None:
        raise UserError(
            f"lora=none: model.quantization={quantization} freezes the weights and needs an adapter (lora=default)"
        )


def _check_examples(plan: Plan, config: DictConfig) -> None:
    """The examples that will be wanted can be made or read."""
    for split in (config.split,) if config.get("split") in SPLITS else SPLITS:
        try:
            plan.task.examples(split)
        except ValueError as error:
            raise UserError(str(error)) from error


def _check_solutions(plan: Plan) -> None:
    teacher = plan.method.arguments.get("teacher")
    if teacher is not None and teacher.reads_solution and plan.task.examples("train")[0].solution is None:
        raise UserError(f"teacher=ar_prefix: needs reference solutions, which task={plan.task.name} has not")
