"""What the teacher says at the supervised positions."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from dopsd.diffusion.choose import choose, columns_of
from dopsd.diffusion.denoiser import Denoiser
from dopsd.diffusion.trajectory import States
from dopsd.distillation.supervision import Supervision
from dopsd.distillation.teacher import TeacherView


@dataclass(frozen=True, kw_only=True)
class Targets:
    """K_t as response columns, which of them are real, and the teacher's logits there."""

    columns: Int[Tensor, "S K"]
    is_real: Bool[Tensor, "S K"]
    logits: Float[Tensor, "S K V"]

    @classmethod
    def of(
        cls, teacher: Denoiser, states: States, view: TeacherView, supervision: Supervision, *, mask_id: int
    ) -> "Targets":
        """Reads the teacher at all candidates and keeps what is supervised."""
        among = supervision.candidates(states, view.revealed)
        candidates, is_candidate = columns_of(among, int(among.sum(-1).max()))
        hidden = teacher(*view.prompts.followed_by(view.canvas), at=view.prompts.tokens.shape[1] + candidates)
        ranks, count = supervision.confidence(hidden, mask_id), supervision.count(states, view.revealed)
        supervised = choose(ranks, among=is_candidate, count=count)
        chosen, is_real = columns_of(supervised, int(count.max()))
        rows = chosen.new_tensor(range(len(chosen)))[:, None]
        return cls(
            columns=candidates.gather(1, chosen), is_real=is_real, logits=hidden[rows, chosen].logits()
        )
