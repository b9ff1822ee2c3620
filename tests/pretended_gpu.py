"""Tensors that say they are on a GPU while the CPU computes them: what mixes devices raises here as it would there.

What is not seen: kernels, memory, numbers of a real GPU.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from dopsd.job.hardware import Hardware

GPU = torch.device("cuda", 0)
WAITS = {"tolist", "item", "__int__", "__bool__", "__float__", "__index__", "nonzero", "unique"}
SAID: dict[Any, Any] = {
    Tensor.device.__get__: GPU,
    Tensor.is_cuda.__get__: True,
    Tensor.is_cpu.__get__: False,
}
SENDING = {"to", "cuda", "tensor", "as_tensor"}
ACROSS = {"to", "cpu", "cuda", "copy_", "_has_compatible_shallow_copy_type"}
INDEXING = {"__getitem__", "__setitem__"}


class OnGPU(torch.Tensor):
    """A tensor of the pretended GPU."""

    __torch_function__ = torch._C._disabled_torch_function_impl


class PretendedGPU(TorchFunctionMode):
    """Inside, `device="cuda"` makes such tensors; `waits` counts what would make the host wait for the GPU.

    `sent` counts what is copied to it, which waits for it as well where the memory is not pinned.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(function, "__name__", "")
        if name == "__get__":
            return self._read(function, args)
        if name == "__deepcopy__" and isinstance(args[0], OnGPU):
            return args[1].setdefault(id(args[0]), _copied(args[0]))
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        here = [tensor for tensor in tensors if isinstance(tensor, OnGPU)]
        args, kwargs, asked = _without_device(args, kwargs)
        if name in {"cpu", "cuda"}:
            function, asked = Tensor.clone, torch.device(name)
        if here and name not in ACROSS:
            self._check(name, args, tensors)
        result = function(*args, **kwargs)
        device = asked.type if asked is not None else "cuda" if here else None
        if here and (device == "cpu" or name in WAITS):
            self.waits[name] += 1
        if not here and device == "cuda" and name in SENDING:
            self.sent[name] += 1
        if device is None:
            return result
        return tree_map(_there if device == "cuda" else _back, result)

    def _read(self, function: Callable, args: tuple) -> Any:
        """An attribute, such as the device, a gradient, or the transpose."""
        value = function(*args)
        if not isinstance(args[0], OnGPU):
            return value
        return SAID[function] if function in SAID else _there(value)

    def _check(self, name: str, args: tuple, tensors: list[Tensor]) -> None:
        if name == "numpy":
            raise RuntimeError("a GPU's tensor has no numpy array")
        if name in INDEXING:
            self.waits[name] += any(
                isinstance(leaf, Tensor) and leaf.dtype == torch.bool for leaf in tree_leaves(args[1])
            )
            if isinstance(args[0], OnGPU):
                return  # by indices of either device
        if any(tensor.ndim and not isinstance(tensor, OnGPU) for tensor in tensors):
            raise RuntimeError(f"{name}: tensors of two devices")


def _without_device(args: tuple, kwargs: dict) -> tuple[tuple, dict, torch.device | None]:
    """The call as the CPU can make it, and the device that was asked for."""
    asked = kwargs.get("device")
    if asked is not None:
        kwargs["device"] = "cpu"
    elif args and isinstance(args[0], Tensor):
        places = [
            i for i, value in enumerate(args) if isinstance(value, torch.device) or value in ("cuda", "cpu")
        ]
        if places:
            asked = args[places[0]]
            args = (*args[: places[0]], "cpu", *args[places[0] + 1 :])
    return args, kwargs, None if asked is None else torch.device(asked)


def _copied(tensor: Tensor) -> Tensor:
    return tensor.detach().clone().as_subclass(OnGPU).requires_grad_(tensor.requires_grad)


def _there(value: Any) -> Any:
    return value.as_subclass(OnGPU) if isinstance(value, Tensor) and not isinstance(value, OnGPU) else value


def _back(value: Any) -> Any:
    return value.as_subclass(Tensor) if isinstance(value, OnGPU) else value


@contextmanager
def pretended_gpu() -> Iterator[PretendedGPU]:
    """Inside, every plan's hardware is one GPU."""
    replaces = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    one_gpu = mock.patch.object(Hardware, "of", return_value=Hardware(device=GPU))
    its_name = mock.patch.object(torch.cuda, "get_device_name", return_value="a pretended GPU")
    try:
        with one_gpu, its_name, PretendedGPU() as gpu:
            yield gpu
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(replaces)
