"""Keys and values of every layer, so that a forward can run on some columns and attend to all."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass
class LayerCache:
    """One layer's keys and values at all columns; none before its first forward."""

    keys: Tensor | None = None
    values: Tensor | None = None

    def fill(self, key: Float[Tensor, "B H S D"], value: Float[Tensor, "B H S D"]) -> None:
        """Takes those of all columns."""
        self.keys, self.values = key, value

    def renew(
        self, columns: Int[Tensor, "B Q"], key: Float[Tensor, "B H Q D"], value: Float[Tensor, "B H Q D"]
    ) -> tuple[Float[Tensor, "B H S D"], Float[Tensor, "B H S D"]]:
        """Exchanges those of some columns, in place, and returns those of all."""
        assert self.keys is not None
        assert self.values is not None
        where = columns[:, None, :, None].expand_as(key)
        return self.keys.scatter_(2, where, key), self.values.scatter_(2, where, value)


class KVCache:
    """Filled by one forward over all columns; later forwards renew the columns that they compute."""

    def __init__(self) -> None:
        self._layers: list[LayerCache] = []

    def of_layers(self, count: int) -> list[LayerCache]:
        """What each of so many layers fills or renews."""
        if not self._layers:
            self._layers = [LayerCache() for _ in range(count)]
        return self._layers

    def rows(self, rows: Int[Tensor, "R"]) -> "KVCache":
        """The cache of some rows, a copy."""
        return self._of([(key[rows], value[rows]) for key, value in self._filled()])

    def widened(self, more: int) -> "KVCache":
        """The cache with so many further columns, of which nothing is known yet, a copy."""
        return self._of([(_wider(key, more), _wider(value, more)) for key, value in self._filled()])

    @classmethod
    def joined(cls, parts: Sequence["KVCache"]) -> "KVCache":
        """The rows of all parts, in their order."""
        layers = zip(*(part._filled() for part in parts), strict=True)
        return cls._of(
            [(torch.cat([k for k, _ in each]), torch.cat([v for _, v in each])) for each in layers]
        )

    def _filled(self) -> list[tuple[Tensor, Tensor]]:
        return [(layer.keys, layer.values) for layer in self._layers]  # pyright: ignore[reportReturnType]

    @classmethod
    def _of(cls, layers: list[tuple[Tensor, Tensor]]) -> "KVCache":
        cache = cls()
        cache._layers = [LayerCache(keys, values) for keys, values in layers]
        return cache


def _wider(tensor: Float[Tensor, "B H S D"], more: int) -> Float[Tensor, "B H _ D"]:
    return torch.nn.functional.pad(tensor, (0, 0, 0, more))  # zeros: finite, whatever hides them
