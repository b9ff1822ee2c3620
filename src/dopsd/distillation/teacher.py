"""What the teacher sees: the student's own future (d-OPSD), or the reference solution in the prompt (baseline)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Int
from pydantic import Field
from torch import Tensor

from dopsd.diffusion.choose import choose
from dopsd.diffusion.noise import Purpose, derive, uniform
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.trajectory import States, is_end
from dopsd.setting import setting
from dopsd.task import Example


@dataclass(frozen=True, kw_only=True)
class TeacherView:
    """The teacher's input for each state: prompt, canvas, and which canvas positions it was shown."""

    prompts: Prompts
    canvas: Int[Tensor, "S L"]
    revealed: Bool[Tensor, "S L"]

    def __getitem__(self, rows: Tensor | slice) -> "TeacherView":
        """The views of some states."""
        return TeacherView(prompts=self.prompts[rows], canvas=self.canvas[rows], revealed=self.revealed[rows])

    def without_later(self, states: States) -> "TeacherView":
        """Less what stands behind the active block, which a block-causal network does not see."""
        canvas = states.canvas.where(states.later, self.canvas)
        return TeacherView(prompts=self.prompts, canvas=canvas, revealed=self.revealed & ~states.later)


class Teacher(ABC):
    """Builds the teacher's input from what the student visited."""

    reads_solution: bool = False
    """Whether `message` needs reference solutions."""
    max_prompt_length: int | None = None
    """How many of the last tokens of its prompts it is given; None: as many as the student."""

    def message(self, example: Example) -> str:
        """What the teacher's prompt says: the student's, or more."""
        return example.prompt

    @abstractmethod
    def view(self, states: States, prompts: Prompts, keys: Int[Tensor, "S"], *, eos_id: int) -> TeacherView:
        """The teacher's input for each state; `prompts` and `keys` (random streams) are given per state.

        `eos_id` is what the end of text is written as.
        """


@setting
class SuffixTeacher(Teacher):
    """y_t with a random subset S_t of the masked positions replaced by the student's own final tokens (eq. 8).

    `end_block=nothing_shown`: no position where the blocks behind the active one hold nothing of the text, so that the
    teacher is not told that the answer ends here (released code).
    """

    retain_ratio: Annotated[float, Field(ge=0, le=1)] = 0.25
    region: Literal["masked", "later_blocks"] = "masked"
    counted: Literal["masked", "canvas"] = "masked"
    end_block: Literal["like_others", "nothing_shown"] = "like_others"

    def view(self, states: States, prompts: Prompts, keys: Int[Tensor, "S"], *, eos_id: int) -> TeacherView:
        """Draws S_t independently for every state; its size is `reveal_count`."""
        assert len(states) == len(prompts) == len(keys)
        among = self.reveal_region(states)
        if self.end_block == "nothing_shown":
            is_text = is_end(states.finished, (eos_id,)).cumsum(-1) == 0
            among &= (states.later & is_text).any(-1, keepdim=True)
        columns = torch.arange(states.canvas.shape[1], device=keys.device)
        step_keys = derive(derive(keys, states.step)[:, None], columns)
        revealed = choose(
            uniform(derive(step_keys, Purpose.REVEAL)), among=among, count=self.reveal_count(states)
        )
        return TeacherView(
            prompts=prompts, canvas=states.finished.where(revealed, states.canvas), revealed=revealed
        )

    def reveal_region(self, states: States) -> Bool[Tensor, "S L"]:
        """Masked positions that may be shown: all (paper), or those behind the active block (released code)."""
        if self.region == "masked":
            return states.is_masked
        return states.is_masked & states.later

    def reveal_count(self, states: States) -> Int[Tensor, "S"]:
        """|S_t| = int(rho * n): n counts the region, or all positions behind the active block."""
        counted = self.reveal_region(states) if self.counted == "masked" else states.later
        return (self.retain_ratio * counted.sum(-1).double()).long()


@setting
class ARPrefixTeacher(Teacher):
    """The student's own canvas behind a prompt that ends with the reference solution (baseline, Table 4).

    `wording` is what is said there, with {solution} in it. Raises ValueError where it is not.
    """

    wording: str = "Here is a correct solution:\n{solution}"
    max_prompt_length: Annotated[int, Field(ge=1)] | None = None

    reads_solution = True

    def __post_init__(self) -> None:
        if "{solution}" not in self.wording:
            raise ValueError(f"wording={self.wording!r}: must contain {{solution}}")

    def message(self, example: Example) -> str:
        """The reference solution behind the prompt; raises ValueError where there is none."""
        if example.solution is None:
            raise ValueError(f"example {example.id} has no reference solution, which teacher=ar_prefix needs")
        return f"{example.prompt}\n\n{self.wording.replace('{solution}', example.solution)}"

    def view(self, states: States, prompts: Prompts, keys: Int[Tensor, "S"], *, eos_id: int) -> TeacherView:
        """The canvas stays y_t; nothing of the student's future is shown."""
        return TeacherView(prompts=prompts, canvas=states.canvas, revealed=torch.zeros_like(states.is_masked))
