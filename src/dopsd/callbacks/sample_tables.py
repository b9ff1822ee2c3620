"""A few answers beside the metrics, in loggers that can show text."""

from collections.abc import Mapping, Sequence
from functools import singledispatch
from textwrap import indent
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.logger import Logger

from dopsd.callbacks.guarded_logger import GuardedLogger
from dopsd.chat import Chat
from dopsd.evaluation.decode import Sample

KEY = "eval/samples"
COLUMNS = ("prompt", "response", "verdict", "score", "unmasked at")
Rows = Sequence[Mapping[str, Any]]
"""Answers by column; the last tells of each token the denoising step at which it was written: `17[5] +[2]`."""


def sample_rows(samples: Sequence[Sample], chat: Chat) -> Rows:
    """What is shown of answers."""
    return [
        {"prompt": it.prompt, "response": it.response, "verdict": it.verdict, "score": it.score}
        | {"unmasked at": _in_order(it, chat)}
        for it in samples
    ]


def _in_order(sample: Sample, chat: Chat) -> str:
    pieces = chat.texts([[token] for token in sample.answer])
    return " ".join(f"{piece}[{step}]" for piece, step in zip(pieces, sample.steps, strict=True))


@singledispatch
def log_samples(logger: Logger, samples: Rows, step: int, *, key: str = KEY) -> None:
    """Show these answers at this training step; a logger that has no place for text leaves them out."""


@log_samples.register
def _(logger: GuardedLogger, samples: Rows, step: int, *, key: str = KEY) -> None:
    logger.hand_on(lambda inner: log_samples(inner, samples, step, key=key))


@log_samples.register
def _(logger: WandbLogger, samples: Rows, step: int, *, key: str = KEY) -> None:
    data = [[sample[column] for column in COLUMNS] for sample in samples]
    logger.log_table(key, columns=list(COLUMNS), data=data, step=step)


@log_samples.register
def _(logger: TensorBoardLogger, samples: Rows, step: int, *, key: str = KEY) -> None:
    logger.experiment.add_text(key, "\n\n".join(map(_as_markdown, samples)), step)


def _as_markdown(sample: Mapping[str, Any]) -> str:
    """Texts as code, whatever stands in them."""
    parts = [f"**{sample['verdict']}, score {sample['score']:.2f}**"]
    for column in ("prompt", "response", "unmasked at"):
        parts += [f"{column}:", indent(sample[column], "    ", lambda line: True)]
    return "\n\n".join(parts)
