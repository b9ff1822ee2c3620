"""Masked-diffusion supervised fine-tuning: the paper's SFT baseline, and how the embedded model was made."""

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from dopsd import ranks
from dopsd.diffusion.choose import choose, columns_of
from dopsd.diffusion.noise import Purpose, derive, example_keys, uniform
from dopsd.diffusion.prompts import Prompts
from dopsd.method.budget import Forwards
from dopsd.method.method import Method
from dopsd.stream import Draw
from dopsd.task import Task


class SFT(Method):
    """Cross-entropy on masked response tokens: mask ratio t ~ U(0, 1), weight 1/t, the prompt is never masked.

    In the form with an exact count (LLaDA, eq. 14): k ~ U{1..L} positions are masked and each weighs 1/k. The expected
    loss is the same, without the rare rows of a huge 1/t.
    """

    def __init__(self, *, gen_length: Annotated[int, Field(ge=1)], **shared: Any):
        super().__init__(**shared)
        self.gen_length = gen_length

    @staticmethod
    def check(*, task: Task) -> None:
        """It needs reference solutions."""
        if task.examples("train")[0].solution is None:
            raise ValueError(f"method=sft: needs reference solutions, which task={task.name} has not")

    def training_step(self, batch: Sequence[Draw], batch_idx: int) -> None:
        """One optimizer step on a batch of (prompt, solution) pairs; those that do not fit are counted and left out."""
        pairs = [(draw, self._response(draw)) for draw in batch]
        fitting = [(draw, response) for draw, response in pairs if len(response) <= self.gen_length]
        self.log_step({"sft/too_long": float(len(batch) - len(fitting))})
        if not fitting:
            return
        rows, is_mine = ranks.equal_share(len(fitting))
        weights = is_mine.to(self.device) / len(fitting)
        draws = [fitting[row][0] for row in rows]
        prompts = self.chat.prompts(draw.example for draw, _ in fitting).to(self.device)
        width = prompts.tokens.shape[1] + self.gen_length
        finished = self._canvases([fitting[row][1] for row in rows])
        masked = self._masked(example_keys(self.seed, [draw.number for draw in draws], device=self.device))
        update = self.update(rows=len(rows), width=width, of=Forwards.of(prompts, self.gen_length))
        for part in update:
            with update:
                update.backward(*self._loss(prompts[rows][part], finished[part], masked[part], weights[part]))
        norm, loss = update.step()
        self.log_step(
            {"train/loss": loss, "train/gradient_norm": norm, "train/examples": float(len(fitting))}
        )

    def _loss(
        self,
        prompts: Prompts,
        finished: Int[Tensor, "B L"],
        masked: Bool[Tensor, "B L"],
        weights: Float[Tensor, "B"],
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """The weighted sum of each row's mean cross-entropy over its masked positions (and once more, to log)."""
        columns, is_real = columns_of(masked, int(masked.sum(-1).max()))
        canvas = finished.masked_fill(masked, self.chat.special.mask_id)
        hidden = self.network(*prompts.followed_by(canvas), at=prompts.tokens.shape[1] + columns)
        log_p = hidden.log_probability(finished.gather(1, columns))
        each = weights[:, None] * is_real / is_real.sum(1, keepdim=True)
        loss = -(log_p * each).sum()
        return loss, loss.detach()

    def _masked(self, keys: Int[Tensor, "B"]) -> Bool[Tensor, "B L"]:
        """Which canvas positions of each row are masked: 1 to L of them, every number as likely."""
        count = (uniform(derive(keys, Purpose.MASKED_COUNT)) * self.gen_length).long() + 1
        columns = torch.arange(self.gen_length, device=keys.device)
        score = uniform(derive(derive(keys, Purpose.MASKED_POSITION)[:, None], columns))
        return choose(score, among=torch.ones_like(score, dtype=torch.bool), count=count)

    def _response(self, draw: Draw) -> list[int]:
        if draw.example.solution is None:
            raise ValueError(f"example {draw.example.id} has no reference solution, which method=sft needs")
        return self.chat.encode_response(draw.example.solution)

    def _canvases(self, responses: Sequence[list[int]]) -> Int[Tensor, "B L"]:
        """Responses filled up with end of text, as LLaDA was trained."""
        end = self.chat.special.eos_id
        return torch.tensor([r + [end] * (self.gen_length - len(r)) for r in responses], device=self.device)
