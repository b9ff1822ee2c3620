"""The network as it was before training, whatever becomes of the student."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from functools import partial

from peft import PeftModel
from torch import Tensor, nn

from dopsd.model.lora import adapter_disabled
from dopsd.model.sharding import whole


def initial_network(
    student: nn.Module,
) -> tuple[Callable[[], AbstractContextManager[nn.Module]], Iterable[Tensor]]:
    """A way to borrow the untrained network (the student without its adapter, or a frozen copy made now), what is kept.

    Of an adapter that is no longer new only its own weights are copied, and lent in the place of the student's.
    """
    if not isinstance(student, PeftModel):
        copy = deepcopy(student).eval().requires_grad_(False)
        return partial(nullcontext, copy), copy.parameters()
    trained = {name: p for name, p in student.named_parameters() if ".lora_" in name}
    if not any(bool(whole(p.detach()).any()) for name, p in trained.items() if ".lora_B." in name):
        return partial(_without_adapter, student), ()
    first = [p.detach().clone() for p in trained.values()]
    return partial(_with_other_weights, student, [*trained.values()], first), first


@contextmanager
def _without_adapter(student: PeftModel) -> Iterator[nn.Module]:
    with adapter_disabled(student):
        yield student


@contextmanager
def _with_other_weights(
    student: nn.Module, trained: Sequence[nn.Parameter], others: Sequence[Tensor]
) -> Iterator[nn.Module]:
    """`others` hold the student's weights meanwhile. In place: a network that is divided over ranks keeps its parts."""
    _exchange(trained, others)
    try:
        yield student
    finally:
        _exchange(trained, others)


def _exchange(trained: Sequence[nn.Parameter], others: Sequence[Tensor]) -> None:
    for parameter, other in zip(trained, others, strict=True):
        kept = parameter.data.clone()
        parameter.data.copy_(other)
        other.copy_(kept)
