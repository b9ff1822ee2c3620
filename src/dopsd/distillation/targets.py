"""What the teacher says at the supervised positions, and how another network compares with it there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dopsd.diffusion.confidence import ConfidenceMeasure, confidence, forbid
from dopsd.diffusion.denoiser import Denoiser
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.readout import Head, in_chunks
from dopsd.diffusion.trajectory import VisitedStates
from dopsd.distillation.supervision import Supervision
from dopsd.distillation.teacher import TeacherView

Compare = Callable[[Float[Tensor, "N V"], Float[Tensor, "N V"]], Sequence[Tensor]]


@dataclass(frozen=True, kw_only=True)
class Targets:
    """K_t as response columns, which of them are real, and the teacher's logits there."""

    columns: Int[Tensor, "S K"]
    is_real: Bool[Tensor, "S K"]
    logits: Float[Tensor, "S K V"]

    @classmethod
    def of(
        cls,
        teacher: Denoiser,
        states: VisitedStates,
        view: TeacherView,
        supervision: Supervision,
        *,
        mask_id: int,
    ) -> "Targets":
        """Reads the teacher at all candidates and keeps what is supervised.

        [MASK], which nobody writes, has no part in the probabilities that rank; raw logits are as the released code's.
        """
        candidates = supervision.candidates(states)
        rows = torch.arange(len(states), device=candidates.device)[:, None]

        def select(hidden: Float[Tensor, "S C D"], head: Head) -> Targets:
            def ranks(measure: ConfidenceMeasure) -> Float[Tensor, "S C"]:
                def read(logits: Float[Tensor, "N V"]) -> list[Tensor]:
                    return [
                        confidence(forbid(logits, mask_id) if measure == "probability" else logits, measure)
                    ]

                [ranked] = in_chunks(read, head, hidden.flatten(0, 1))
                return ranked.view_as(candidates)

            chosen, is_real = supervision.select(states, view.revealed, candidates, ranks)
            return cls(columns=candidates[rows, chosen], is_real=is_real, logits=head(hidden[rows, chosen]))

        at = view.prompts.tokens.shape[1] + candidates
        return teacher(*view.prompts.followed_by(view.canvas), at=at, readout=select)

    def compared_with(
        self, network: Denoiser, prompts: Prompts, canvas: Int[Tensor, "S L"], compare: Compare
    ) -> list[Float[Tensor, "S K"]]:
        """`compare(network's logits, teacher's logits)` at every target, one value a position each."""

        def read(hidden: Float[Tensor, "S K D"], head: Head) -> list[Tensor]:
            compared = in_chunks(compare, head, hidden.flatten(0, 1), self.logits.flatten(0, 1))
            return [each.view_as(self.columns) for each in compared]

        at = prompts.tokens.shape[1] + self.columns
        return network(*prompts.followed_by(canvas), at=at, readout=read)
