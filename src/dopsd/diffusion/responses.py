"""Finished responses as what learns from them reads them."""

from dataclasses import dataclass

from jaxtyping import Bool, Int
from torch import Tensor

from dopsd.diffusion.counted import counted
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.trajectory import Trajectory


@dataclass(frozen=True, kw_only=True)
class Responses:
    """Canvases with their prompts and random streams; `scored` are the tokens that are the answer, C(y)."""

    trajectory: Trajectory
    scored: Bool[Tensor, "B L"]
    prompts: Prompts
    keys: Int[Tensor, "B"]

    @classmethod
    def of(
        cls, trajectory: Trajectory, prompts: Prompts, keys: Int[Tensor, "B"], end_ids: tuple[int, ...]
    ) -> "Responses":
        """The answer of each ends with its first end token."""
        return cls(trajectory=trajectory, scored=counted(trajectory, end_ids), prompts=prompts, keys=keys)

    def __len__(self) -> int:
        return len(self.trajectory)

    def __getitem__(self, rows: Tensor) -> "Responses":
        """Some of the responses, with all columns of the prompts."""
        return Responses(
            trajectory=self.trajectory[rows],
            scored=self.scored[rows],
            prompts=self.prompts.rows(rows),
            keys=self.keys[rows],
        )

    @property
    def tokens(self) -> Int[Tensor, "B L"]:
        """The finished canvases."""
        return self.trajectory.tokens
