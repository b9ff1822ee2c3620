"""The floating-point operations that a d-OPSD step asks for, counted from shapes: 2 for a multiplication and addition.

Counted: every linear layer, LoRA included, at the positions where its output is needed (in the last layer queries and
everything behind them only where something is read off); attention; the head at the positions that are read; in the
backward pass the gradients of activations, and those of the adapters' weights, the base being frozen. Not counted:
what is computed a second time to save memory, element-wise work, the optimizer.
"""

from dataclasses import dataclass

from dopsd.model import LLaDAConfig

_KEYS_AND_VALUES = ("k", "v")
_FROM_QUERIES_ON = ("q", "o", "gate", "up", "down")


@dataclass(frozen=True)
class Flop:
    """Counts for one network with adapters of rank `r` on all linear layers; `rows` canvases are `width` tokens wide.

    Hidden states leave the last layer at `at` columns of each row.
    """

    config: LLaDAConfig
    r: int

    def forward(self, rows: int, width: int, at: int, *, adapted: bool) -> float:
        """From token ids to the hidden states that are wanted; `adapted` is whether they go through the adapters."""
        everywhere, wanted = rows * width, rows * at
        rank = self.r if adapted else 0
        layer = 2 * self._parameters((*_KEYS_AND_VALUES, *_FROM_QUERIES_ON), rank) + self._attention(width)
        last = 2 * self._parameters(_KEYS_AND_VALUES, rank) * everywhere
        last += (2 * self._parameters(_FROM_QUERIES_ON, rank) + self._attention(width)) * wanted
        return (self.config.n_layers - 1) * layer * everywhere + last

    def backward(self, rows: int, width: int, at: int) -> float:
        """The gradients of activations (as much as the forward pass, attention twice) and of the adapters' weights.

        Nothing that can be trained stands before the first layer: no gradient goes through its q, k and v to its input.
        """
        everywhere, wanted = rows * width, rows * at
        all_linear = (*_KEYS_AND_VALUES, *_FROM_QUERIES_ON)
        layer = self._gradients(all_linear) + 2 * self._attention(width)
        last = self._gradients(_KEYS_AND_VALUES) * everywhere
        last += (self._gradients(_FROM_QUERIES_ON) + 2 * self._attention(width)) * wanted
        inputs = 2 * self._parameters(("q", "k", "v"), 0) + 3 * 2 * self.r * self.config.d_model
        return ((self.config.n_layers - 1) * layer - inputs) * everywhere + last

    def head(self, positions: int) -> float:
        """Logits, or the gradients of the hidden states under them."""
        return 2 * self.config.d_model * self.config.vocab_size * positions

    def rollout(self, steps: int, width: int, at: int, *, adapted: bool) -> float:
        """`steps` denoising steps, summed over the rows, with logits at `at` positions on average."""
        return self.forward(steps, width, at, adapted=adapted) + self.head(steps * at)

    def loss(self, states: int, width: int, block_length: int, supervised: int) -> float:
        """The teacher at a block of each state, then the student forward and backward at its supervised positions."""
        teacher = self.forward(states, width, block_length, adapted=False)
        teacher += self.head(states * (block_length + supervised))
        student = self.forward(states, width, supervised, adapted=True) + self.head(states * supervised)
        return teacher + student + self.backward(states, width, supervised) + self.head(states * supervised)

    def _attention(self, width: int) -> float:
        """Of one query: its products with all keys, and their weighted sum of values."""
        return 4 * self.config.d_model * width

    def _parameters(self, names: tuple[str, ...], rank: int) -> float:
        return sum(i * o + rank * (i + o) for i, o in map(self._shapes.__getitem__, names))

    def _gradients(self, names: tuple[str, ...]) -> float:
        """Of one token: 2 a base parameter, 4 an adapter's."""
        return 4 * self._parameters(names, self.r) - 2 * self._parameters(names, 0)

    @property
    def _shapes(self) -> dict[str, tuple[int, int]]:
        d, m = self.config.d_model, self.config.mlp_hidden_size
        kv = d // self.config.n_heads * (self.config.n_kv_heads or self.config.n_heads)
        return {
            **{"q": (d, d), "k": (d, kv), "v": (d, kv), "o": (d, d)},
            **{"gate": (d, m), "up": (d, m), "down": (m, d)},
        }
