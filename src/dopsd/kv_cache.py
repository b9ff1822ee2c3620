"""Keys and values of every layer, so that a forward can run on some columns and attend to all."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor


class KVCache:
    """Filled by one forward over all columns; later forwards renew the columns that they compute."""

    def __init__(self) -> None:
        self._layers: list[tuple[Tensor, Tensor]] = []

    def fill(self, key: Float[Tensor, "B H S D"], value: Float[Tensor, "B H S D"]) -> None:
        """The next layer's keys and values at all columns."""
        self._layers.append((key, value))

    def renew(
        self,
        layer: int,
        columns: Int[Tensor, "B Q"],
        key: Float[Tensor, "B H Q D"],
        value: Float[Tensor, "B H Q D"],
    ) -> tuple[Float[Tensor, "B H S D"], Float[Tensor, "B H S D"]]:
        """Exchanges a layer's keys and values at some columns, in place, and returns those of all columns."""
        where = columns[:, None, :, None].expand_as(key)
        keys, values = self._layers[layer]
        return keys.scatter_(2, where, key), values.scatter_(2, where, value)

    def rows(self, rows: Int[Tensor, "R"]) -> "KVCache":
        """The cache of some rows, a copy."""
        return self._of([(key[rows], value[rows]) for key, value in self._layers])

    @classmethod
    def joined(cls, parts: Sequence["KVCache"]) -> "KVCache":
        """The rows of all parts, in their order."""
        layers = zip(*(part._layers for part in parts), strict=True)
        return cls._of(
            [(torch.cat([k for k, _ in each]), torch.cat([v for _, v in each])) for each in layers]
        )

    @classmethod
    def _of(cls, layers: list[tuple[Tensor, Tensor]]) -> "KVCache":
        cache = cls()
        cache._layers = layers
        return cache
