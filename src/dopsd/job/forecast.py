"""What a training will take at most, told before it starts where that is long."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dopsd.config.paths import SWEEP
from dopsd.config.sweep_list import read_jobs
from dopsd.diffusion.prompts import Prompts
from dopsd.job.run_directory import RunDirectory
from dopsd.job.student import Student
from dopsd.method.dopsd import DOPSD
from dopsd.method.method import Method
from dopsd.stream import TrainingStream
from dopsd.task import Example

_LONG_H = 1.0  # device hours
_RATES = {"cuda": ("GPU-hours", 200.0)}  # TFLOP/s, assumed: a fifth of what an H100 is sold with in bfloat16
_OTHER_RATE = ("hours", 0.05)  # what two cores make of the embedded model
_SAMPLE = 500  # prompts whose tokens are counted


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What so many tries of prompts cost by the names of the budget, each step of every try taken and learnt from."""

    completions: float
    denoising_forwards: float
    training_forwards: float
    no_gradient_forwards: float
    flop: float

    @classmethod
    def of(cls, method: DOPSD, lengths: tuple[float, float], *, prompts: int, tries: int) -> "Forecast":
        """Of so many prompts, each with so many tries; `lengths` are those of a prompt and of the teacher's."""
        rollout, flop = method.rollout, method.budget.flop
        own, shown = (rollout.sampler.gen_length + tokens for tokens in lengths)
        completions = prompts * tries
        denoising = completions * rollout.sampler.most_forwards
        states = method.most_states * (completions if rollout.keep == "all" else prompts)
        return cls(
            completions=completions,
            denoising_forwards=denoising,
            training_forwards=states,
            no_gradient_forwards=states,
            flop=denoising * own * flop.forward
            + states * (shown * flop.forward + own * (flop.forward + flop.backward)),
        )

    def until(self, limits: Mapping[str, float]) -> "Forecast":
        """What is spent of it when the first of those limits is reached that are known here."""
        known = [limit / vars(self)[name] for name, limit in limits.items() if name in vars(self)]
        share = min([1.0, *known])
        return Forecast(**{name: share * value for name, value in vars(self).items()})


def forecast(method: Method, student: Student, run: RunDirectory) -> Sequence[str]:
    """What training and its evaluations take, in lines; none where that is short, or not known of a method.

    The lower figures have the first try of every prompt alone. Answers that end early, prompts of which nothing is
    learnt and rollouts with a cache or a threshold cost less.
    """
    if not isinstance(method, DOPSD):
        return ()
    plan, settings, rollout = student.plan, student.plan.settings, method.rollout
    prompts = settings.max_steps * settings.prompts_per_step
    size = min(prompts, _SAMPLE)
    stream = TrainingStream(method.training_examples(), length=size, seed=settings.seed)
    sample = [stream[number].example for number in range(size)]
    limits = plan.stop_at.limits if plan.stop_at else {}
    lengths = mean_lengths(method, sample)
    costs = {
        tries: Forecast.of(method, lengths, prompts=prompts, tries=tries).until(limits)
        for tries in ((1, rollout.max_attempts) if rollout.keep == "first" else (rollout.max_attempts,))
    }
    evaluated = _evaluated(student) * plan.evaluation_sampler.most_forwards
    width = lengths[0] + plan.evaluation_sampler.gen_length
    flop = [cost.flop + evaluated * width * method.budget.flop.forward for cost in costs.values()]
    time = _time(flop, student, run)
    return time and (*_counted(costs, evaluated), *time, _memory(student))


def mean_lengths(method: DOPSD, sample: Sequence[Example]) -> tuple[float, float]:
    """Tokens of the student's prompts and of the teacher's, means over a sample."""
    return _tokens(method.chat.prompts(sample)), _tokens(method.shown(sample))


def _counted(costs: Mapping[int, Forecast], evaluated: float) -> tuple[str, str]:
    """By the tries of a prompt."""
    completions, denoising, trained = (
        _spread([vars(cost)[name] for cost in costs.values()])
        for name in ("completions", "denoising_forwards", "training_forwards")
    )
    return (
        f"at most    {completions} completions (tries a prompt: {_spread([*costs])}), {denoising} denoising forwards,",
        f"           {trained} with gradients and as many of the teacher, {_spread([evaluated])} in evaluations",
    )


def _time(flop: Sequence[float], student: Student, run: RunDirectory) -> tuple[str, ...]:
    unit, rate = _RATES.get(student.plan.device.type, _OTHER_RATE)
    hours, jobs = [of / (rate * 1e12 * 3600) for of in flop], _jobs(run)
    sweep = f"; {jobs} jobs like this one: {_spread([jobs * of for of in hours])}" if jobs > 1 else ""
    line = f"           {_spread(flop)} FLOP, {_spread(hours)} {unit} at {rate:g} TFLOP/s{sweep}"
    return () if hours[-1] < _LONG_H else (line,)


def _memory(student: Student) -> str:
    """What training keeps: weights, and of the trained ones a gradient and AdamW's two moments."""
    weights = [(p.numel() * p.element_size(), p.requires_grad) for p in student.network.parameters()]
    kept = sum(size * (4 if is_trained else 1) for size, is_trained in weights) / 1e9
    hardware, tokens = student.plan.hardware, student.plan.method.arguments["micro_batch_tokens"]
    where = f"over {hardware.processes} devices" if hardware.is_sharded else "a device"
    return f"memory     {kept:.1f} GB of weights, gradients and moments {where}, and a micro-batch of {tokens:,} tokens"


def _evaluated(student: Student) -> int:
    """Answers: dev before, between and after the steps; test for the base, the best and the last weights."""
    plan, settings = student.plan, student.plan.settings
    times = 1 + -(-settings.max_steps // settings.eval_every)
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
