"""What an evaluation looks at: whose weights, on which split."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig

from dopsd.config.build import prepare_top_level
from dopsd.config.errors import UserError
from dopsd.evaluation.decode import Evaluation
from dopsd.job.run_directory import RunDirectory
from dopsd.job.summary import versions
from dopsd.setting import setting
from dopsd.task import Split


@setting
class Chosen:
    """Weights of a run, or the model as it is, and a split."""

    checkpoint: str | None
    weights: Literal["best", "final"]
    split: Split

    @classmethod
    def of(cls, config: DictConfig) -> "Chosen":
        """Raises UserError for a wrong value, or where the run has no such weights."""
        chosen = prepare_top_level(config, cls)()
        if chosen.directory is not None and not chosen.directory.is_dir():
            raise UserError(f"checkpoint={chosen.checkpoint}: the run has no {chosen.weights} weights yet")
        return chosen

    @property
    def directory(self) -> Path | None:
        """Where the weights are; None for the model as it is."""
        return RunDirectory(Path(self.checkpoint)).weights(self.weights) if self.checkpoint else None

    @property
    def title(self) -> str:
        """In a word or two."""
        return self.weights if self.checkpoint else "model"


def report(config: DictConfig, chosen: Chosen, evaluation: Evaluation) -> dict[str, Any]:
    """What evaluation.json holds."""
    samples = evaluation.samples
    return {
        **circumstances(config, chosen),
        **asdict(evaluation.accuracy),
        "mean_score": sum(sample.score for sample in samples) / len(samples),
        "mean_tokens": sum(sample.tokens for sample in samples) / len(samples),
        "mean_forwards": sum(sample.forwards for sample in samples) / len(samples),
        "versions": versions(),
    }


def circumstances(config: DictConfig, chosen: Chosen) -> dict[str, Any]:
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
