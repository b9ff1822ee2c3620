"""A network whose weights are divided over the ranks (FSDP2), so that each of its forwards is made by all of them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from dopsd import ranks
from dopsd.diffusion.denoiser import Denoiser
from dopsd.diffusion.hidden import Hidden
from dopsd.model.architecture import DecoderLayer


def shard(network: nn.Module, device: torch.device) -> nn.Module:
    """Divides the weights of each layer, and of what is around the layers, in place; gradients add up over ranks."""
    mesh = init_device_mesh(device.type, (ranks.count(),))
    # The head, which is read after the forward, belongs to the network's own unit: that stays whole until the backward.
    layers = [module for module in network.modules() if isinstance(module, DecoderLayer)]
    for module in [*layers, network]:
        sharded = fully_shard(module, mesh=mesh, reshard_after_forward=module is not network)
        sharded.set_gradient_divide_factor(1.0)
        sharded.set_force_sum_reduction_for_comms(True)
    return network


@contextmanager
def in_step(network: Denoiser) -> Iterator[Denoiser]:
    """Lends a network to a rank that makes as many forwards as it needs; at the end it waits for the others' last.

    While it waits, a rank of a sharded network takes part in the forwards of those that are not done.
    """
    if not isinstance(network, FSDPModule):
        yield network
        return
    assert isinstance(network, nn.Module)

    def forward(*args: Tensor, **kwargs: Tensor) -> Hidden:
        _any_busy(True)
        return network(*args, **kwargs)

    yield forward
    one_token = torch.zeros(1, 1, dtype=torch.int64, device=next(network.parameters()).device)
    with torch.no_grad():
        while _any_busy(False):
            network(one_token, at=one_token)


def _any_busy(am_busy: bool) -> bool:
    busy = torch.tensor(int(am_busy))
    ranks.add_up(busy)
    return bool(busy)


def whole(tensor: Tensor) -> Tensor:
    """A tensor with the parts of all ranks; every rank must call it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def divided(tensor: Tensor, like: Tensor) -> Tensor:
    """A whole tensor in the way in which another one is divided, if it is; every rank must call it."""
    if not isinstance(like, DTensor):
        return tensor
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements)
