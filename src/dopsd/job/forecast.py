"""What a training will take at most, told before it starts where that is long."""

import math
from collections.abc import Mapping, Sequence

from dopsd.callbacks.measures import spent_before
from dopsd.config.paths import SWEEP
from dopsd.config.sweep_list import read_jobs
from dopsd.diffusion.prompts import Prompts
from dopsd.job.run_directory import RunDirectory
from dopsd.job.student import Student
from dopsd.method.budget import BUDGET, Budget, StopAt
from dopsd.method.method import Method
from dopsd.method.spending import Workload
from dopsd.rollout import Cost
from dopsd.stream import TrainingStream
from dopsd.task import Example

_LONG_H = 1.0  # device hours
_RATES = {"cuda": ("GPU-hours", 200.0)}  # TFLOP/s, assumed: a fifth of what an H100 is sold with in bfloat16
_OTHER_RATE = ("hours", 0.05)  # what two cores make of the embedded model
_SAMPLE = 500  # prompts whose tokens are counted


def forecast(method: Method, student: Student, run: RunDirectory) -> Sequence[str]:
    """What training and its evaluations take from here on, in lines; none where that is short.

    The lower figures have the first try of every prompt alone. Answers that end early, prompts of which nothing is
    learnt and rollouts with an approximate cache or a threshold cost less.
    """
    plan, settings = student.plan, student.plan.settings
    size = min(settings.max_steps * settings.prompts_per_step, _SAMPLE)
    stream = TrainingStream(method.training_examples(), length=size, seed=settings.seed)
    tokens = mean_tokens(method, [stream[number].example for number in range(size)])
    before = spent_before(run.resume_point) if run.resume_point.exists() else dict.fromkeys(BUDGET, 0)
    costs = {
        tries: foretold(
            method,
            tokens,
            prompts=settings.prompts_per_step,
            tries=tries,
            before=before,
            stop_at=plan.stop_at,
        )
        for tries in method.tries_per_prompt
    }
    answers = _evaluated(student, max(cost["training_steps"] for cost in costs.values()))
    evaluated = Cost.at_most(plan.evaluation_sampler, answers, prompt_tokens=tokens[0])
    flop = [
        cost["flop"] + evaluated.denoising_columns * method.budget.flop.forward for cost in costs.values()
    ]
    if not (time := _time(flop, student, run)):
        return ()
    done = int(before["training_steps"])
    after = [f"           after step {done}, which the run has done"] if done else []
    return (*_counted(costs, evaluated), *time, *after, _memory(method, student))


def foretold(
    method: Method,
    tokens: tuple[float, float],
    *,
    prompts: int,
    tries: int,
    before: Mapping[str, int | float],
    stop_at: StopAt | None,
) -> dict[str, float]:
    """What a method's training steps spend at most, by name, from what was spent before to their last or to a limit.

    `tokens` are those of a prompt and of the teacher's, means.
    """
    budget, (own, shown) = Budget(method.budget.flop), tokens
    budget.spent.update(before)
    for step in range(int(before["training_steps"]), method.max_steps):
        if stop_at is not None and stop_at.reached(budget.spent):
            break
        load = Workload(step=step, prompts=prompts, tries=tries, prompt_tokens=own, shown_tokens=shown)
        method.most_spent(load).enter(budget)
        budget.training_step(seconds=0.0)
    return {name: spent - before[name] for name, spent in budget.spent.items()}


def mean_tokens(method: Method, sample: Sequence[Example]) -> tuple[float, float]:
    """Tokens of the student's prompts and of the teacher's, means over a sample."""
    return _tokens(method.chat.prompts(sample)), _tokens(method.shown(sample))


def _counted(costs: Mapping[int, Mapping[str, float]], evaluated: Cost) -> list[str]:
    """By the tries of a prompt."""
    completions, denoising, trained, others = (
        _spread([cost[name] for cost in costs.values()])
        for name in ("completions", "denoising_forwards", "training_forwards", "no_gradient_forwards")
    )
    tries, in_evaluations = _spread([*costs]), _spread([evaluated.denoising_forwards])
    lines = [f"{trained} forwards with gradients and {others} without, {in_evaluations} in evaluations"]
    if any(costs):
        lines.insert(
            0, f"{completions} completions (tries a prompt: {tries}), {denoising} denoising forwards,"
        )
    return [f"{start:<11}{line}" for start, line in zip(("at most", ""), lines, strict=False)]


def _time(flop: Sequence[float], student: Student, run: RunDirectory) -> tuple[str, ...]:
    """No line where even all jobs of a sweep take not long."""
    unit, rate = _RATES.get(student.plan.device.type, _OTHER_RATE)
    hours, jobs = [of / (rate * 1e12 * 3600) for of in flop], _jobs(run)
    sweep = f"; {jobs} jobs like this one: {_spread([jobs * of for of in hours])}" if jobs > 1 else ""
    line = f"           {_spread(flop)} FLOP, {_spread(hours)} {unit} at {rate:g} TFLOP/s{sweep}"
    return () if jobs * max(hours) < _LONG_H else (line,)


def _memory(method: Method, student: Student) -> str:
    """What training keeps: weights, of the trained ones a gradient and AdamW's two moments, and other weights."""
    weights = [(p.numel() * p.element_size(), p.requires_grad) for p in student.network.parameters()]
    kept = sum(size * (4 if is_trained else 1) for size, is_trained in weights)
    others = 0 if method.other_weights is None else method.other_weights.kept_bytes
    theirs = f" ({others / 1e9:.1f} GB of them a teacher's or a reference's)" if others else ""
    hardware, tokens = student.plan.hardware, student.plan.method.arguments["micro_batch_tokens"]
    where = f"over {hardware.processes} devices" if hardware.is_sharded else "a device"
    return (
        f"memory     {(kept + others) / 1e9:.1f} GB of weights, gradients and moments{theirs} {where}, "
        f"and a micro-batch of {tokens:,} tokens"
    )


def _evaluated(student: Student, steps: float) -> int:
    """Answers: dev before, between and after so many steps; test for the base, the best and the last weights."""
    plan = student.plan
    times = 1 + math.ceil(steps / plan.settings.eval_every)
    return times * len(plan.examples("dev")) + 3 * len(plan.examples("test"))


def _tokens(prompts: Prompts) -> float:
    return float(prompts.attention_mask.sum()) / len(prompts)


def _jobs(run: RunDirectory) -> int:
    """Of the sweep whose first job this is, else 1: one job says it for all."""
    sweep = run.path.absolute().parent
    if not (sweep / SWEEP).is_file():
        return 1
    jobs = [job for job in read_jobs(sweep, "hydra.sweep.dir") if not job.refused]
    return len(jobs) if jobs and jobs[0].directory == run.path.name else 1


def _spread(values: Sequence[float]) -> str:
    return " to ".join(
        dict.fromkeys(f"{value:,.0f}" if 10 <= value < 1e6 else f"{value:.2g}" for value in values)
    )
