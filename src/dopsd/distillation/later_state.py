"""The trajectory teacher (arXiv 2607.04428): it sees the student's canvas some steps later."""

from typing import Annotated, Literal

from jaxtyping import Bool, Int
from pydantic import Field
from torch import Tensor

from dopsd.diffusion.choose import best_of_each
from dopsd.diffusion.noise import Purpose, derive, uniform
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.trajectory import NEVER, States
from dopsd.distillation.teacher import Teacher, TeacherView
from dopsd.setting import setting


@setting
class LaterStateTeacher(Teacher):
    """The canvas `gap` denoising steps later, or the final one; revealed is what was unmasked in between.

    The teacher of `gap=final` sees the token at every position that the student sees as [MASK].
    """

    gap: Annotated[int, Field(ge=1)] | Literal["final"]

    def view(self, states: States, prompts: Prompts, keys: Int[Tensor, "S"], *, eos_id: int) -> TeacherView:
        """y_(t + gap); a gap beyond the last step gives the final canvas. Nothing is drawn."""
        until = NEVER if self.gap == "final" else (states.step + self.gap)[:, None]
        revealed = states.is_masked & (states.step_map < until)
        return TeacherView(
            prompts=prompts, canvas=states.finished.where(revealed, states.canvas), revealed=revealed
        )


@setting
class StateChoice:
    """One state of each rollout among those with more than `masked_share` of their valid positions masked.

    `least` is the closest above it (the first of several), `most` the one with most masks, `random` any of them.
    """

    pick: Literal["least", "most", "random"]
    masked_share: Annotated[float, Field(ge=0, lt=1)]

    def rows(self, states: States, valid: Bool[Tensor, "S L"], keys: Int[Tensor, "S"]) -> Int[Tensor, "R"]:
        """The chosen states, ordered by rollout; a rollout in which no state has enough masks has none.

        `valid` are the positions of a state that count (the answer); `keys` are the rollouts' streams.
        """
        share = (states.is_masked & valid).sum(-1).double() / valid.sum(-1).clamp(min=1)
        among = (share > self.masked_share).nonzero()[:, 0]
        if self.pick == "random":
            score = uniform(derive(derive(keys, Purpose.STATE_CHOICE), states.step))
        else:
            score = share if self.pick == "most" else -share
        return among[best_of_each(states.rollout[among], score[among])]
