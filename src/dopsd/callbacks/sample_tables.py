"""A few answers beside the metrics, in loggers that can show text."""

from collections.abc import Sequence
from functools import singledispatch
from textwrap import indent

from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.logger import Logger

from dopsd.callbacks.guarded_logger import GuardedLogger
from dopsd.evaluation.decode import Sample

KEY = "eval/samples"
COLUMNS = ("prompt", "response", "verdict", "score")


@singledispatch
def log_samples(logger: Logger, samples: Sequence[Sample], step: int) -> None:
    """Show these answers at this training step; a logger that has no place for text leaves them out."""


@log_samples.register
def _(logger: GuardedLogger, samples: Sequence[Sample], step: int) -> None:
    logger.hand_on(lambda inner: log_samples(inner, samples, step))


@log_samples.register
def _(logger: WandbLogger, samples: Sequence[Sample], step: int) -> None:
    data = [[getattr(sample, column) for column in COLUMNS] for sample in samples]
    logger.log_table(KEY, columns=list(COLUMNS), data=data, step=step)


@log_samples.register
def _(logger: TensorBoardLogger, samples: Sequence[Sample], step: int) -> None:
    logger.experiment.add_text(KEY, "\n\n".join(map(_as_markdown, samples)), step)


def _as_markdown(sample: Sample) -> str:
    """Prompt and response as code, whatever stands in them."""
    prompt, response = (indent(text, "    ", lambda line: True) for text in (sample.prompt, sample.response))
    verdict = f"**{sample.verdict}, score {sample.score:.2f}**"
    return "\n\n".join((verdict, "prompt:", prompt, "response:", response))
