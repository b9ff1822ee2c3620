"""What a run is, in one block before it starts."""

from collections.abc import Sequence

from omegaconf import DictConfig

from dopsd.job.run_directory import RunDirectory
from dopsd.job.student import Student
from dopsd.report.manifest import device_name
from dopsd.task import SPLITS


def start_block(student: Student, run: RunDirectory, config: DictConfig) -> Sequence[str]:
    """Directory, task, model, what is trained on which device, steps and seed."""
    plan, arms, settings = student.plan, config.command.arms, student.plan.settings
    splits = {split: len(plan.task.examples(split)) for split in SPLITS}
    evaluated = {split: len(plan.examples(split)) for split in SPLITS[1:]}
    counts = [
        f"train {splits['train']}",
        *(_of(split, evaluated[split], splits[split]) for split in evaluated),
    ]
    trained = student.network.num_parameters(only_trainable=True)
    model = student.network.num_parameters() - (0 if plan.lora is None else trained)
    processes = f", {plan.hardware.processes} processes" if plan.hardware.processes > 1 else ""
    step = f"prompts {settings.prompts_per_step}, dev accuracy every {settings.eval_every}"
    rows = {
        "directory": str(run.path),
        "task": f"{arms.task} ({', '.join(counts)})",
        "model": f"{arms.model}, {_count(model)} parameters, {plan.model.arguments['dtype']}",
        "trained": f"{_count(trained)} parameters (lora={arms.lora}, method={arms.method})",
        "device": f"{device_name(plan.device)}{processes}",
        "steps": f"{settings.max_steps} ({step})",
        "seed": str(settings.seed),
    }
    if plan.stop_at is not None and plan.stop_at.limits:
        rows["stops at"] = ", ".join(f"{name} {limit:,.0f}" for name, limit in plan.stop_at.limits.items())
    if run.resume_point.exists():
        rows["goes on"] = f"from {run.resume_point.name}"
    return [f"{name:<10} {value}" for name, value in rows.items()]


def _of(split: str, evaluated: int, there: int) -> str:
    return f"{split} {there}" if evaluated == there else f"{split} {evaluated} of {there}"


def _count(parameters: int) -> str:
    return (
        f"{parameters / 1e6:,.{2 if parameters < 1e7 else 0}f} M" if parameters >= 1e5 else f"{parameters:,}"
    )
