"""A network as it is sampled from: many forwards with the same weights, and no gradients."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from peft import PeftModel
from torch import nn
from torch.distributed.tensor import DTensor

from dopsd.diffusion.denoiser import Denoiser
from dopsd.model.lora import adapted_layers, adapter_disabled, dropout_off
from dopsd.model.sharding import in_step


@contextmanager
def sampling(network: nn.Module) -> Iterator[Denoiser]:
    """Lends the network without dropout, with its adapters folded in, in step with the other ranks."""
    with dropout_off(network), _folded(network), in_step(network) as denoiser:
        yield denoiser


@contextmanager
def _folded(network: nn.Module) -> Iterator[None]:
    """Inside, an adapted layer is one matrix product, (W + s B A) x; afterwards all weights are again what they were.

    In float32 only, where the sum loses nothing that counts, and not where the weights are divided over ranks.
    """
    layers = adapted_layers(network)
    weights: list[nn.Parameter] = [layer.get_base_layer().weight for layer in layers]
    if not weights or any(isinstance(w, DTensor) or w.dtype != torch.float32 for w in weights):
        yield
        return
    assert isinstance(network, PeftModel)
    before = [weight.data for weight in weights]
    try:
        with adapter_disabled(network):
            for layer, weight in zip(layers, weights, strict=True):
                with torch.no_grad():
                    weight.data = weight.data + layer.get_delta_weight(network.active_adapter)
            yield
    finally:
        for weight, data in zip(weights, before, strict=True):
            weight.data = data
