"""A probe in a job: whose weights, which prompts."""

from typing import Any

from omegaconf import DictConfig

from dopsd.config.build import build
from dopsd.config.errors import UserError
from dopsd.diffusion.block_cache import check_blocks
from dopsd.finite import NotFiniteError
from dopsd.job.checkpoints import local_network
from dopsd.job.display import Display
from dopsd.job.plan import Plan
from dopsd.job.selection import Selection
from dopsd.job.student import Student
from dopsd.memory import needing
from dopsd.model import LLaDAConfig, dropout_off, initial_network
from dopsd.probes import Finding, NothingFoundError, Probe, Subject


def prepare_probe(config: DictConfig, plan: Plan, chosen: Selection) -> Probe:
    """Raises UserError for a wrong setting, or where a teacher needs reference solutions and there are none."""
    probe: Probe = build(config, "probe")
    if probe.reads_solutions and plan.task.examples(chosen.split)[0].solution is None:
        raise UserError(
            f"probe.ar_prefix: needs reference solutions, which task={plan.task.name} has not; "
            "probe.ar_prefix=null leaves this teacher out"
        )
    network = local_network(plan)
    if network is not None:
        _check_ways(probe, network)
    return probe


def _check_ways(probe: Probe, network: LLaDAConfig) -> None:
    """Raises UserError for a way of sampling that the network's structure does not allow."""
    for way, sampler in probe.samplers.items():
        try:
            check_blocks(sampler.cache, sampler.block_length, of_network=network.structure.own_blocks)
        except ValueError as error:
            raise UserError(f"probe.ways={way}: {error} (probe.ways=[{{threshold: 0.9}}])") from error


def run_probe(probe: Probe, base: Student, chosen: Selection, display: Display) -> Finding:
    """Probes the chosen weights; `base` has those before training. Raises UserError where nothing can be measured."""
    settings = base.plan.settings
    _check_ways(probe, base.network.config)  # of a hub id, known only now
    untrained, _ = initial_network(base.network)
    student = base if chosen.directory is None else base.with_weights(chosen.directory)
    examples = base.plan.task.examples(chosen.split)[: settings.eval_limit]
    at_once = settings.eval_batch_size
    with (
        needing("eval_batch_size", at_once, during="a probe", smaller=at_once // 2 or None),
        display.bar("probe", len(examples)) as advance,
        dropout_off(student.network),
    ):
        subject = Subject(
            student=student.network,
            untrained=untrained,
            task=base.plan.task,
            chat=student.chat,
            examples=examples,
            batch_size=at_once,
            seed=settings.seed,
            device=base.plan.device,
            on_progress=advance,
        )
        try:
            return probe.run(subject)
        except NotFiniteError as error:
            raise student.blamed_for(error, "probe") from error
        except NothingFoundError as error:
            raise UserError(f"split={chosen.split}: {error}") from error


def circumstances(config: DictConfig, chosen: Selection) -> dict[str, Any]:
    """What was looked at, and with which settings."""
    return {
        "task": config.command.arms.task,
        "model": config.command.arms.model,
        "overrides": list(config.command.overrides),
        **{key: getattr(chosen, key) for key in ("checkpoint", "weights", "split")},
        **{
            key: config[key]
            for key in ("gen_length", "block_length", "denoising_steps", "temperature", "seed")
        },
    }
