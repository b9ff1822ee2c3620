"""The network as it was before training, whatever becomes of the student."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy

from peft import PeftModel
from torch import nn

from dopsd.model.lora import adapter_disabled


def initial_network(student: nn.Module) -> Callable[[], AbstractContextManager[nn.Module]]:
    """A way to borrow the untrained network: the student without its adapter, or a frozen copy made now."""
    frozen = None if isinstance(student, PeftModel) else deepcopy(student).eval().requires_grad_(False)

    @contextmanager
    def lend() -> Iterator[nn.Module]:
        if frozen is not None:
            yield frozen
            return
        assert isinstance(student, PeftModel)
        with adapter_disabled(student):
            yield student

    return lend
