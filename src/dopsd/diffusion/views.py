"""Views of finished responses: partly masked canvases, and the positions of each at which the network is read."""

from dataclasses import dataclass, fields

from jaxtyping import Bool, Float, Int
from torch import Tensor

from dopsd.diffusion.choose import columns_of
from dopsd.diffusion.denoiser import Denoiser
from dopsd.diffusion.hidden import Hidden
from dopsd.diffusion.prompts import Prompts


@dataclass(frozen=True, kw_only=True)
class Views:
    """One row for each forward: its input, the tokens that are scored in it, and what their log p weighs.

    `row` is the response that a view belongs to, `columns` are canvas positions; a view may have fewer than K.
    """

    row: Int[Tensor, "N"]
    prompts: Prompts
    canvas: Int[Tensor, "N L"]
    columns: Int[Tensor, "N K"]
    is_real: Bool[Tensor, "N K"]
    tokens: Int[Tensor, "N K"]
    weight: Float[Tensor, "N K"]

    @classmethod
    def of(
        cls,
        *,
        row: Int[Tensor, "N"],
        prompts: Prompts,
        canvas: Int[Tensor, "N L"],
        finished: Int[Tensor, "N L"],
        read: Bool[Tensor, "N L"],
        weight: Float[Tensor, "N"] | Float[Tensor, "N L"],
    ) -> "Views":
        """Views that are read at the positions `read`, each with one weight or with one for each of its positions.

        Those read nowhere are left out.
        """
        some = read.any(1).nonzero()[:, 0]
        read, finished = read[some], finished[some]
        columns, is_real = columns_of(read, int(read.sum(1).max()) if len(some) else 0)
        return cls(
            row=row[some],
            prompts=prompts.rows(some),
            canvas=canvas[some],
            columns=columns,
            is_real=is_real,
            tokens=finished.gather(1, columns),
            weight=(weight[some, None] if weight.ndim == 1 else weight[some].gather(1, columns))
            .float()
            .where(is_real, 0.0),
        )

    def __len__(self) -> int:
        return self.row.shape[0]

    def __getitem__(self, rows: Tensor | slice) -> "Views":
        """Some of the views (an index, a boolean tensor or a slice)."""
        return Views(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    @property
    def width(self) -> int:
        """Columns of one row: prompt and canvas."""
        return self.prompts.tokens.shape[1] + self.canvas.shape[1]

    def read(self, network: Denoiser) -> Hidden:
        """What the network has at the positions that are real, one after the other (`columns[is_real]`)."""
        hidden = network(
            *self.prompts.followed_by(self.canvas), at=self.prompts.tokens.shape[1] + self.columns
        )
        return hidden[self.is_real.nonzero(as_tuple=True)]

    def log_probability(self, network: Denoiser) -> Float[Tensor, "N K"]:
        """log p of the tokens; the head reads no position that is not real, where 0 stands."""
        found = self.read(network).log_probability(self.tokens[self.is_real])
        real = self.is_real.nonzero(as_tuple=True)
        return self.weight.new_zeros(self.weight.shape).index_put(real, found)
