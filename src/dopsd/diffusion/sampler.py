"""Block diffusion: blocks left to right, and in each the most confident masked positions first (LLaDA)."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from dopsd.diffusion.choose import choose
from dopsd.diffusion.confidence import forbid, probability_of, sample
from dopsd.diffusion.noise import derive, gumbel, uniform
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.trajectory import GIVEN, NEVER, Trajectory
from dopsd.setting import setting

Denoiser = Callable[..., Any]
"""`denoiser(canvas, attention_mask, at=columns)` returns the logits at some columns of each row, (B, K, V).

With `readout=` it returns what that makes of the hidden states there.
"""

_TOKEN_NOISE, _POSITION_NOISE = 1, 2


@setting
class SpecialTokens:
    """The ids a sampler must know: [MASK], end of text (it also fills ended rows), and all that end an answer."""

    mask_id: int
    eos_id: int
    end_ids: tuple[int, ...]


@setting
class BlockSampler:
    """Samples whole trajectories; raises ValueError where the lengths and steps do not divide."""

    gen_length: Annotated[int, Field(ge=1)]
    block_length: Annotated[int, Field(ge=1)]
    denoising_steps: Annotated[int, Field(ge=1)]
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    remasking: Literal["low_confidence", "random"] = "low_confidence"
    early_exit: bool = True
    noise_dtype: Literal["float64", "bfloat16"] = "float64"

    def __post_init__(self) -> None:
        if self.gen_length % self.block_length:
            raise ValueError(
                f"gen_length={self.gen_length} must be a multiple of block_length={self.block_length}"
            )
        if self.denoising_steps % self.blocks or self.denoising_steps > self.gen_length:
            raise ValueError(
                f"denoising_steps={self.denoising_steps} must be a multiple of the number of blocks "
                f"({self.blocks} = gen_length / block_length) and at most gen_length={self.gen_length}"
            )

    @property
    def blocks(self) -> int:
        """Number of blocks in the canvas."""
        return self.gen_length // self.block_length

    @property
    def unmask_counts(self) -> list[int]:
        """How many positions each denoising step of a block unmasks; a remainder goes to the first steps."""
        steps = self.denoising_steps // self.blocks
        return [self.block_length // steps + (step < self.block_length % steps) for step in range(steps)]

    @torch.no_grad()
    def sample(
        self,
        denoiser: Denoiser,
        prompts: Prompts,
        keys: Int[Tensor, "B"],
        special: SpecialTokens,
        *,
        given: Int[Tensor, "B L"] | None = None,
        keep_given: bool = True,
    ) -> Trajectory:
        """One trajectory for each prompt; `keys` are the examples' random streams (unused at temperature 0).

        `given` is a canvas to start from. Its tokens stay, or (`keep_given=False`) are only looked ahead at: each
        block is cleared when it is entered.
        """
        assert len(prompts) == len(keys)
        shape = (len(prompts), self.gen_length)
        tokens = torch.full(shape, special.mask_id, device=prompts.tokens.device)
        step_map = torch.full(shape, NEVER, device=prompts.tokens.device)
        if given is not None:
            tokens = tokens.copy_(given)
            step_map = step_map.masked_fill((given != special.mask_id) & keep_given, GIVEN)
        rows = torch.arange(len(prompts), device=prompts.tokens.device)
        for block in range(self.blocks):
            canvas, steps_taken = tokens[rows], step_map[rows]
            self._fill_block(denoiser, prompts[rows], canvas, steps_taken, keys[rows], block, special)
            tokens[rows], step_map[rows] = canvas, steps_taken
            if self.early_exit and block + 1 < self.blocks:
                rows = rows[last_step(canvas, steps_taken, special.end_ids) == NEVER]
                if not len(rows):
                    break
        return self._finish(tokens, step_map, special)

    def _fill_block(
        self,
        denoiser: Denoiser,
        prompts: Prompts,
        canvas: Int[Tensor, "B L"],
        step_map: Int[Tensor, "B L"],
        keys: Int[Tensor, "B"],
        block: int,
        special: SpecialTokens,
    ) -> None:
        """Unmask the positions of one block in place, a few at each step."""
        start = block * self.block_length
        columns = torch.arange(start, start + self.block_length, device=canvas.device)
        window_steps = step_map[:, columns]
        window = canvas[:, columns].masked_fill(window_steps == NEVER, special.mask_id)
        canvas[:, columns] = window
        model_input, attention_mask = prompts.followed_by(canvas)
        at = (model_input.shape[1] - self.gen_length + columns).expand(len(canvas), -1)
        first_step = block * len(self.unmask_counts)
        for step, count in enumerate(self.unmask_counts, start=first_step):
            logits = forbid(denoiser(model_input, attention_mask, at=at), special.mask_id)
            step_keys = derive(derive(keys, step)[:, None], columns)
            proposal = self._propose(logits, step_keys)
            score = self._score(logits, proposal, step_keys)
            counts = torch.full((len(canvas),), count, device=canvas.device)
            unmasked_now = choose(score, among=window_steps == NEVER, count=counts)
            window = proposal.where(unmasked_now, window)
            window_steps = window_steps.masked_fill(unmasked_now, step)
            model_input.scatter_(1, at, window)
        canvas[:, columns], step_map[:, columns] = window, window_steps

    def _propose(
        self, logits: Float[Tensor, "B block V"], keys: Int[Tensor, "B block"]
    ) -> Int[Tensor, "B block"]:
        """The token each position would take: the most likely one, or a sample (bfloat16: by coarse Gumbel noise)."""
        if self.temperature == 0:
            return logits.argmax(-1)
        keys = derive(keys, _TOKEN_NOISE)
        if self.noise_dtype == "float64":
            return sample(logits, self.temperature, uniform(keys))
        vocabulary = torch.arange(logits.shape[-1], device=logits.device)
        noise = gumbel(derive(keys[..., None], vocabulary)).bfloat16()
        return (logits.bfloat16() + self.temperature * noise).argmax(-1)

    def _score(
        self,
        logits: Float[Tensor, "B block V"],
        proposal: Int[Tensor, "B block"],
        keys: Int[Tensor, "B block"],
    ) -> Float[Tensor, "B block"]:
        """The order in which positions are unmasked: by the proposed token's probability, or at random."""
        if self.remasking == "random":
            return uniform(derive(keys, _POSITION_NOISE))
        return probability_of(logits, proposal)

    def _finish(
        self, tokens: Int[Tensor, "B L"], step_map: Int[Tensor, "B L"], special: SpecialTokens
    ) -> Trajectory:
        """Count each row's steps; with early exit, forget the steps after its end and fill up with end of text."""
        steps = torch.full_like(tokens[:, 0], self.denoising_steps)
        if self.early_exit:
            last = last_step(tokens, step_map, special.end_ids)
            steps = torch.where(last == NEVER, steps, last + 1)
            step_map = step_map.masked_fill(step_map >= steps[:, None], NEVER)
            tokens = tokens.masked_fill(step_map == NEVER, special.eos_id)
        return Trajectory(tokens=tokens, step_map=step_map, steps=steps, block_length=self.block_length)


def last_step(
    tokens: Int[Tensor, "B L"], step_map: Int[Tensor, "B L"], end_ids: tuple[int, ...]
) -> Int[Tensor, "B"]:
    """The step after which a row's answer is complete: an end token with nothing masked before it (NEVER if none)."""
    complete_since = step_map.cummax(1).values
    is_end: Bool[Tensor, "B L"] = torch.isin(tokens, torch.tensor(end_ids, device=tokens.device))
    return complete_since.masked_fill(~is_end, NEVER).amin(1)
