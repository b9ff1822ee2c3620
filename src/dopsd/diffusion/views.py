"""Canvases in which some of a response's tokens are scored: what a likelihood or a cross-entropy is made from."""

from dataclasses import dataclass, fields

from jaxtyping import Bool, Float, Int
from torch import Tensor

from dopsd.diffusion.prompts import Prompts


@dataclass(frozen=True, kw_only=True)
class Views:
    """N canvases of responses, the K columns of each that are scored, and what each token weighs.

    `row` says which response a view shows; rows with fewer than K columns are filled up with some that are not real.
    """

    row: Int[Tensor, "N"]
    prompts: Prompts
    canvas: Int[Tensor, "N L"]
    columns: Int[Tensor, "N K"]
    is_real: Bool[Tensor, "N K"]
    tokens: Int[Tensor, "N K"]
    weight: Float[Tensor, "N K"]

    def __len__(self) -> int:
        return self.row.shape[0]

    def __getitem__(self, rows: Tensor | slice) -> "Views":
        """Some of the views (an index, a boolean tensor or a slice)."""
        return Views(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})
