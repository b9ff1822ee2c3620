"""What can be seen of the checkpoints of a run before they are loaded."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dopsd.config.errors import UserError
from dopsd.method.teacher_weights import CheckpointWeights, FixedWeights
from dopsd.model.adapter import AdapterFiles
from dopsd.model.checkpoint import (
    CheckpointError,
    check_weights,
    find_directory,
    is_hub_id,
    linear_shapes,
    read_config,
)
from dopsd.model.configuration import LLaDAConfig
from dopsd.model.structure import configured
from dopsd.model.vocabulary import check_same_words

if TYPE_CHECKING:
    from dopsd.job.plan import Plan


def check_checkpoint(plan: "Plan") -> None:
    """Raises UserError for what is wrong with a local checkpoint (a hub id is only looked up when it is loaded)."""
    network, model, adapter = local_network(plan), plan.model, plan.adapter
    if network is None:
        return
    with saying(f"model.path={model.arguments['path']}"):
        directory = find_directory(model.arguments["path"])
        if model.arguments.get("init") != "random":
            check_weights(directory, network)
    plan.check_network(network)
    if adapter is not None:
        with saying(f"adapter={adapter}"):
            AdapterFiles.read(adapter).check(linear_shapes(network))
    autoregressive = plan.method.target.has_autoregressive_teacher
    match plan.method.arguments.get("teacher_weights"):
        case CheckpointWeights() as teacher:
            _check_teacher(teacher, network, directory, autoregressive=autoregressive)
        case FixedWeights() if autoregressive and model.arguments.get("init") != "random":
            _check_own(read_config(directory))


def local_network(plan: "Plan") -> LLaDAConfig | None:
    """The network as it will be loaded, known now; None for a hub id. Raises UserError where there is none."""
    path = str(plan.model.arguments["path"])
    if is_hub_id(path):
        return None
    given = ("init", "visible", "block_length", "reading")
    with saying(f"model.path={path}"):
        return configured(
            find_directory(path), **{k: v for k, v in plan.model.arguments.items() if k in given}
        )


def _check_teacher(
    teacher: CheckpointWeights, student: LLaDAConfig, directory: Path, *, autoregressive: bool
) -> None:
    """Raises UserError where it is no model, or one with other tokens, or one that the method cannot read."""
    try:
        path = teacher.named
        if is_hub_id(path):
            return
        with saying(f"teacher_weights.path={path}"):
            there = find_directory(path)
            other = read_config(there)
        teacher.check(student, other)
        teacher.check_structure(other, autoregressive=autoregressive)
        with saying(f"teacher_weights.path={path}"):
            check_weights(there, other)
            check_same_words(there, directory)
    except ValueError as error:
        raise UserError(str(error)) from error


def _check_own(student: LLaDAConfig) -> None:
    """Raises UserError where the weights before training are not those of an autoregressive model."""
    if student.visible != "causal":
        raise UserError(
            f"teacher_weights=fixed: needs autoregressive weights (visible=causal), the student's have "
            f"visible={student.visible}; teacher_weights=checkpoint takes another model's"
        )


@contextmanager
def saying(subject: str) -> Iterator[None]:
    """Inside, a CheckpointError becomes a UserError about the subject."""
    try:
        yield
    except CheckpointError as error:
        raise UserError(f"{subject}: {error}") from error
