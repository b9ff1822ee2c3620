"""Masked-diffusion supervised fine-tuning: the paper's SFT baseline, and how the embedded model was made."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from dopsd.diffusion.choose import columns_of
from dopsd.diffusion.noise import derive, example_keys, uniform
from dopsd.diffusion.prompts import Prompts
from dopsd.method.method import Method
from dopsd.stream import Draw

_RATIO_NOISE, _MASK_NOISE = 4, 5


class SFT(Method):
    """Cross-entropy on masked response tokens: mask ratio t ~ U(0, 1), weight 1/t, the prompt is never masked."""

    def __init__(self, *, gen_length: int, smallest_ratio: float = 0.001, **shared: Any):
        super().__init__(**shared)
        self.gen_length, self.smallest_ratio = gen_length, smallest_ratio

    def training_step(self, batch: Sequence[Draw], batch_idx: int) -> None:
        """One optimizer step on a batch of (prompt, solution) pairs; those that do not fit are counted and left out."""
        pairs = [(draw, self._response(draw)) for draw in batch]
        fitting = [(draw, response) for draw, response in pairs if len(response) <= self.gen_length]
        self.log_step({"sft/too_long": float(len(batch) - len(fitting))})
        if not fitting:
            return
        draws = [draw for draw, _ in fitting]
        prompts = self.chat.prompts(draw.example for draw in draws).to(self.device)
        finished = self._canvases([response for _, response in fitting])
        ratio, masked = self._corrupt(example_keys(self.seed, [d.number for d in draws], device=self.device))
        losses: list[Tensor] = []
        norm = self.update(self._losses(prompts, finished, ratio, masked, losses))
        self.log_step({"train/loss": torch.stack(losses).sum(), "train/gradient_norm": norm})

    def _losses(
        self,
        prompts: Prompts,
        finished: Int[Tensor, "B L"],
        ratio: Float[Tensor, "B"],
        masked: Bool[Tensor, "B L"],
        losses: list[Tensor],
    ) -> Iterator[Tensor]:
        """The loss of each micro-batch: mean over rows and canvas of cross-entropy / t."""
        width = prompts.tokens.shape[1] + self.gen_length
        for rows in self.micro_batches(len(prompts), width):
            columns, real = columns_of(masked[rows], int(masked[rows].sum(-1).max()))
            canvas = finished[rows].masked_fill(masked[rows], self.chat.special.mask_id)
            part = prompts[rows]
            at = columns + part.tokens.shape[1]
            logits = self.network(*part.followed_by(canvas), at=at).float()
            wrong = cross_entropy(logits[real], finished[rows].gather(1, columns)[real], reduction="none")
            weight = (1 / ratio[rows])[:, None].expand_as(real)[real]
            loss = (wrong * weight).sum() / finished.numel()
            losses.append(loss.detach())
            yield loss

    def _corrupt(self, keys: Int[Tensor, "B"]) -> tuple[Float[Tensor, "B"], Bool[Tensor, "B L"]]:
        """Each row's mask ratio and which canvas positions are masked; a row always has at least one."""
        ratio = uniform(derive(keys, _RATIO_NOISE)).clamp(min=self.smallest_ratio)
        columns = torch.arange(self.gen_length, device=keys.device)
        noise = uniform(derive(derive(keys, _MASK_NOISE)[:, None], columns))
        masked = (noise < ratio[:, None]) | (noise == noise.amin(1, keepdim=True))
        return ratio.float(), masked

    def _response(self, draw: Draw) -> list[int]:
        if draw.example.solution is None:
            raise ValueError(f"example {draw.example.id} has no reference solution, which method=sft needs")
        return self.chat.encode_response(draw.example.solution)

    def _canvases(self, responses: Sequence[list[int]]) -> Int[Tensor, "B L"]:
        """Responses filled up with end of text, as LLaDA was trained."""
        end = self.chat.special.eos_id
        return torch.tensor([r + [end] * (self.gen_length - len(r)) for r in responses], device=self.device)
