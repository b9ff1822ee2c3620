"""An evaluation from its configs to its rows; a network that several rows share is loaded once."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from dopsd.callbacks.sample_tables import Rows, sample_rows
from dopsd.config.errors import UserError
from dopsd.config.rows import EXACT, READ_BY_EVALUATION, exact_row_of
from dopsd.config.saved import key_of, read_saved, written_out
from dopsd.evaluation.decode import Evaluation
from dopsd.evaluation.paired import PairedComparison
from dopsd.evaluation.scores import Scores
from dopsd.job.context import fitting_examples
from dopsd.job.display import Display
from dopsd.job.examiner import Examiner
from dopsd.job.plan import Plan, approximations
from dopsd.job.reporting import reading
from dopsd.job.run_directory import RunDirectory
from dopsd.job.selection import SampleSelection
from dopsd.job.student import Student
from dopsd.report.answers import Answers
from dopsd.report.manifest import fingerprint
from dopsd.report.row import BatchEffect, Repetition, ReportRow
from dopsd.task import Example

_SHOWN = 8  # answers of a row, where a logger takes them
_ONE_AT_A_TIME = 16  # examples that show what the batch does to rounding
_NOT_SETTINGS = ("seed", "name", "paths", "hydra", "resume")  # of a training that is repeated


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """One row that is wanted, with the answers of its baseline."""

    name: str
    config: DictConfig
    plan: Plan
    chosen: SampleSelection
    examples: Sequence[Example]
    baseline: Answers | None

    @classmethod
    def of(cls, name: str, config: DictConfig) -> "EvaluationPlan":
        """Raises UserError for what cannot be evaluated, or not be compared: no weights are read for it."""
        plan, chosen = Plan.of(config), SampleSelection.of(config)
        asked = cls(
            name=name,
            config=config,
            plan=plan,
            chosen=chosen,
            examples=fitting_examples(plan, chosen.split),
            baseline=_baseline(config, name),
        )
        metric = plan.task.metric
        asked.compared(Scores.of(metric, ((example.id, {metric: 0.0}) for example in asked.examples)))
        return asked

    @property
    def run(self) -> str:
        """What tells the run from others; weights, length and decoding are told beside it."""
        told = ("", self.chosen.weights, EXACT, f"gen_length={self.plan.evaluation_sampler.gen_length}")
        return "/".join(part for part in self.name.split("/") if part not in told)

    @property
    def decoding(self) -> str:
        """How answers are approximated, or that they are not where others are."""
        return (
            "exact" if self.name.endswith(EXACT) else ", ".join(approximations(self.plan.evaluation_sampler))
        )

    def compared(self, scores: Scores) -> PairedComparison | None:
        """The baseline and these scores; raises UserError unless they are of the same examples and metric."""
        if self.baseline is None:
            return None
        try:
            return self.baseline.scores.compared(scores)
        except ValueError as error:
            raise UserError(f"baseline={self.config.baseline}: {error}") from error


class RowEvaluator:
    """Evaluates what was asked for, one row after the other; exact decoding comes before what it is compared with."""

    def __init__(self, *, display: Display, directory: Path) -> None:
        self._display, self._directory = display, directory
        self._student: Student | None = None
        self._evaluated: dict[str, ReportRow] = {}
        self.shown: dict[str, Rows] = {}
        """The first answers of each row, by its name."""

    def __call__(self, asked: EvaluationPlan) -> ReportRow:
        """Load what is not there yet, decode, grade, and leave the config and the samples in the row's directory."""
        run = RunDirectory.open(self._directory / asked.name, asked.config)
        student = self._with_weights(asked)
        examiner = Examiner(plan=asked.plan, display=self._display)
        started = time.perf_counter()
        whose = ", ".join(filter(None, (asked.run, asked.chosen.title, asked.decoding)))
        title = f"{whose}, {asked.chosen.split}, gen_length={asked.plan.evaluation_sampler.gen_length}"
        evaluation = examiner(student, asked.chosen.split, title, samples=asked.chosen.samples)
        seconds = time.perf_counter() - started
        self.shown[asked.name] = sample_rows(evaluation.samples[:_SHOWN], student.chat)
        weights, training_step = asked.chosen.whose, asked.chosen.training_step
        run.write_samples(evaluation, weights=weights, training_step=training_step)
        row = ReportRow(
            name=asked.name,
            run=asked.run,
            weights=weights,
            training_step=training_step,
            decoding=asked.decoding,
            evaluation=evaluation,
            seconds=seconds,
            too_long=len(asked.plan.examples(asked.chosen.split)) - len(asked.examples),
            unusable=asked.plan.task.left_out(asked.chosen.split),
            chance=asked.plan.task.chance(asked.examples),
            fingerprint=fingerprint(asked.examples),
            arms=asked.config.command.arms,
            settings=_settings(asked.config),
            repetition=_repetition(asked),
            baseline=asked.baseline,
            comparison=asked.compared(evaluation.scores),
            batch_effect=_batch_effect(asked, examiner, student, evaluation, title),
            exact=self._evaluated.get(exact_row_of(asked.name)),
        )
        self._evaluated[asked.name] = row
        return row

    def _with_weights(self, asked: EvaluationPlan) -> Student:
        loaded, plan = self._student, asked.plan
        if loaded is None or _network_of(loaded.plan) != _network_of(plan):
            loaded = Student.load(plan)
        self._student = replace(loaded, plan=plan)
        directory = asked.chosen.directory
        return self._student if directory is None else self._student.with_weights(directory)


def _batch_effect(
    asked: EvaluationPlan, examiner: Examiner, student: Student, evaluation: Evaluation, title: str
) -> BatchEffect | None:
    """None in float32, where the answers are the same whatever the batch."""
    dtype = asked.plan.model.arguments["dtype"]
    if dtype == "float32":
        return None
    alone = examiner.one_at_a_time(student, asked.chosen.split, title, first=_ONE_AT_A_TIME)
    return BatchEffect.of(dtype, evaluation, alone)


def _network_of(plan: Plan) -> tuple:
    """What makes a network, before it is given the weights of a run."""
    model = dict(plan.model.arguments)
    if model.get("init") != "random":
        model.pop("seed", None)
    return model, None if plan.lora is None else plan.lora.arguments, plan.adapter, plan.device


def _baseline(config: DictConfig, name: str) -> Answers | None:
    """The baseline's row of this name, or else the only one it has; of a run the same weights."""
    if config.baseline is None:
        return None
    directory = Path(str(config.baseline))
    named = directory / name if (directory / name).is_dir() else directory
    return reading("baseline", named, config.weights)


def _settings(config: DictConfig) -> dict[str, Any]:
    whole = cast(dict[str, Any], OmegaConf.to_container(written_out(config), resolve=True))
    return {key: whole[key] for key in READ_BY_EVALUATION if key in whole}


def _repetition(asked: EvaluationPlan) -> Repetition | None:
    """Which seed of which training and evaluation this is; None for a model as it is."""
    if asked.chosen.checkpoint is None:
        return None
    saved = read_saved(Path(asked.chosen.checkpoint), "checkpoint")
    typed = sorted(o for o in saved.command.overrides if key_of(o).partition(".")[0] not in _NOT_SETTINGS)
    settings = (
        dict(saved.command.arms),
        typed,
        replace(asked.chosen, checkpoint=None),
        asked.plan.evaluation_sampler,
    )
    return Repetition(of=repr(settings), seed=saved.seed)
