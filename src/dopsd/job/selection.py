"""What an evaluation or a probe looks at: whose weights, on which split, how often."""

from pathlib import Path
from typing import Annotated, Literal, Self

from omegaconf import DictConfig
from pydantic import Field

from dopsd.config.build import prepare_top_level
from dopsd.config.errors import UserError
from dopsd.job.run_directory import RunDirectory
from dopsd.report.answers import weights_title
from dopsd.setting import setting
from dopsd.task import Split


@setting
class Selection:
    """Weights of a run, or the model as it is, and a split."""

    checkpoint: str | None
    weights: Literal["base", "best", "final"]
    split: Split

    @classmethod
    def of(cls, config: DictConfig) -> Self:
        """Raises UserError for a wrong value, or where the run has no such weights."""
        chosen = prepare_top_level(config, cls)()
        if chosen.checkpoint is not None and chosen.weights == "base":
            raise UserError(
                f"checkpoint={chosen.checkpoint}: weights=base are the model as it is, without a checkpoint; "
                "compare and baseline read the answers that a run kept of them"
            )
        if chosen.directory is not None and not chosen.directory.is_dir():
            raise UserError(f"checkpoint={chosen.checkpoint}: the run has no {chosen.weights} weights yet")
        return chosen

    @property
    def directory(self) -> Path | None:
        """Where the weights are; None for the model as it is."""
        return RunDirectory(Path(self.checkpoint)).weights(self.weights) if self.checkpoint else None

    @property
    def whose(self) -> str:
        """The weights, in a word."""
        return self.weights if self.checkpoint else "model"

    @property
    def training_step(self) -> int | None:
        """After which the weights were saved, where that is known."""
        return RunDirectory(Path(self.checkpoint)).training_step(self.weights) if self.checkpoint else None

    @property
    def title(self) -> str:
        """The weights, in a word or two."""
        return weights_title(self.whose, self.training_step)


@setting
class SampleSelection(Selection):
    """The same for a row of an evaluation, with the number of samples of each example; raises ValueError."""

    samples: Annotated[int, Field(ge=1)]
    temperature: float

    def __post_init__(self) -> None:
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(
                f"samples={self.samples} needs a temperature above 0: at temperature=0 they would all be the same"
            )
