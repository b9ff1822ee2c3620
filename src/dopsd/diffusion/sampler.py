"""Block diffusion: blocks left to right, and in each the most confident masked positions first (LLaDA)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from dopsd.diffusion.block_cache import BlockCache, CacheName, block_cache
from dopsd.diffusion.choose import columns_of
from dopsd.diffusion.confidence import forbid
from dopsd.diffusion.decoding import CanvasRows, Decoding, Room, Try
from dopsd.diffusion.denoiser import Denoiser, guided
from dopsd.diffusion.hidden import Hidden
from dopsd.diffusion.noise import derive
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.special_tokens import SpecialTokens
from dopsd.diffusion.trajectory import GIVEN, NEVER, Trajectory, is_end
from dopsd.diffusion.unmasking import ConfidenceDtype, NoiseDtype, Remasking, propose, score
from dopsd.diffusion.unmasking_schedule import FixedCounts, SureEnough, UnmaskingSchedule
from dopsd.setting import setting


@setting
class BlockSampler:
    """Samples whole trajectories; raises ValueError where the settings do not fit together.

    With a `threshold` a step unmasks what is so sure, not a fixed number (`dopsd.diffusion.unmasking_schedule`).
    `end_of_text`: `forbidden` never writes end of text, `last` unmasks end tokens last in their block (LLaDA's
    logits_eos_inf and confidence_eos_eot_inf). Of the caches `exact` alone is not approximate
    (`dopsd.diffusion.block_cache`).
    """

    gen_length: Annotated[int, Field(ge=1)]
    block_length: Annotated[int, Field(ge=1)]
    denoising_steps: Annotated[int, Field(ge=1)]
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    remasking: Remasking = "low_confidence"
    threshold: Annotated[float, Field(gt=0, le=1)] | None = None
    end_of_text: Literal["free", "forbidden", "last"] = "free"
    cfg_scale: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    cache: CacheName | None = None
    early_exit: bool = True
    noise_dtype: NoiseDtype = "float64"
    confidence_dtype: ConfidenceDtype = "float32"

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
        if self.threshold is not None and self.remasking not in ("low_confidence", "margin"):
            raise ValueError(
                f"threshold={self.threshold}: needs remasking=low_confidence or margin, not {self.remasking}"
            )
        if self.cache is not None and self.cfg_scale:
            raise ValueError(f"cache={self.cache}: needs cfg_scale=0, not {self.cfg_scale}")

    @property
    def blocks(self) -> int:
        """Number of blocks in the canvas."""
        return self.gen_length // self.block_length

    @property
    def most_steps(self) -> int:
        """Of a trajectory; with a threshold a step may unmask a single token."""
        return self.denoising_steps if self.threshold is None else self.gen_length

    @property
    def most_forwards(self) -> int:
        """Rows of forwards for a trajectory."""
        return self.most_steps * self._rows

    @property
    def _rows(self) -> int:
        """Of one prompt in a forward: guidance has two."""
        return 2 if self.cfg_scale else 1

    def of_length(self, gen_length: int) -> "BlockSampler":
        """The same for so many tokens, whole blocks of as many steps each."""
        steps = self.denoising_steps // self.blocks * (gen_length // self.block_length)
        return replace(self, gen_length=gen_length, denoising_steps=steps)

    def autoregressive(self) -> "BlockSampler":
        """The same for an autoregressive network: token after token, each behind finished ones, which are kept."""
        return replace(
            self,
            block_length=1,
            denoising_steps=self.gen_length,
            threshold=None,
            cfg_scale=0.0,
            cache="exact",
        )

    @property
    def unmask_counts(self) -> list[int]:
        """How many positions each denoising step of a block unmasks; a remainder goes to the first steps."""
        return self._fixed_counts.counts

    @property
    def _fixed_counts(self) -> FixedCounts:
        return FixedCounts(
            block_length=self.block_length, blocks=self.blocks, denoising_steps=self.denoising_steps
        )

    @cached_property
    def _schedule(self) -> UnmaskingSchedule:
        if self.threshold is None:
            return self._fixed_counts
        return SureEnough(threshold=self.threshold, block_length=self.block_length)

    def sample(
        self,
        denoiser: Denoiser,
        prompts: Prompts,
        keys: Int[Tensor, "B"],
        special: SpecialTokens,
        *,
        given: Int[Tensor, "B L"] | None = None,
        keep_given: bool = True,
        at_once: int | None = None,
        tokens_at_once: int | None = None,
        on_progress: Callable[[int], None] = lambda done: None,
    ) -> Trajectory:
        """One trajectory for each prompt; `keys` are the examples' random streams (unused at temperature 0).

        `given` is a canvas to start from. Its tokens stay, or (`keep_given=False`) are only looked ahead at: each
        block is cleared when it is entered. At most `at_once` prompts are in flight, and `tokens_at_once` tokens in one
        forward (but always one prompt); where one is done the next one enters, and `on_progress` hears of it.
        """
        assert len(prompts) == len(keys)
        rows = self.start(keys, special, given=given, keep_given=keep_given)
        decoding = self.decoding(denoiser, prompts, special)
        room = Room(rows=at_once, tokens=tokens_at_once)
        fixed = None if self.cache is None else prompts.tokens.shape[1]
        widths = [self._tokens_of_a_row(fixed or length) for length in prompts.attention_mask.sum(1).tolist()]
        entered, order, parts = 0, [], []
        while len(order) < len(prompts):
            width = self._tokens_of_a_row(decoding.prompt_width)
            if count := room.entering(widths[entered:], len(decoding), width):
                entering = torch.arange(entered, entered + count)
                decoding.enter([Try(i) for i in entering.tolist()], rows[entering])
                entered += count
            tries, done = decoding.leave()
            if tries:
                order += [t.prompt for t in tries]
                parts.append(done)
                on_progress(len(tries))
            else:
                decoding.step()
        return self.trajectory(CanvasRows.joined(parts), special)[torch.tensor(order).argsort()]

    def _tokens_of_a_row(self, prompt: int) -> int:
        """In one forward, behind a prompt of so many tokens."""
        return (prompt + self.gen_length) * self._rows

    def decoding(self, denoiser: Denoiser, prompts: Prompts, special: SpecialTokens) -> Decoding:
        """A decoding of these prompts, with none of them in flight yet."""
        denoiser = self.guided(denoiser, special)
        cache = None if self.cache is None else block_cache(denoiser, self.cache)
        return Decoding(
            prompts,
            advance=partial(self._advance, denoiser, cache, special),
            is_done=partial(self._is_done, special),
            fixed_columns=cache is not None,
        )

    def guided(self, denoiser: Denoiser, special: SpecialTokens) -> Denoiser:
        """The denoiser that is asked: under guidance, where there is any."""
        if not self.cfg_scale:
            return denoiser
        return guided(denoiser, scale=self.cfg_scale, mask_id=special.mask_id, gen_length=self.gen_length)

    def forbidden(self, special: SpecialTokens) -> tuple[int, ...]:
        """The tokens that are never written."""
        return (special.mask_id, *([special.eos_id] if self.end_of_text == "forbidden" else []))

    def start(
        self,
        keys: Int[Tensor, "B"],
        special: SpecialTokens,
        *,
        given: Int[Tensor, "B L"] | None = None,
        keep_given: bool = True,
    ) -> CanvasRows:
        """Rows before their first step: empty, or with what is given."""
        shape = (len(keys), self.gen_length)
        tokens = torch.full(shape, special.mask_id, device=keys.device)
        step_map = torch.full(shape, NEVER, device=keys.device)
        if given is not None:
            tokens = tokens.copy_(given)
            step_map = step_map.masked_fill((given != special.mask_id) & keep_given, GIVEN)
        return CanvasRows(
            tokens=tokens,
            step_map=step_map,
            step=torch.zeros_like(keys),
            keys=keys,
            is_finite=torch.ones_like(keys, dtype=torch.bool),
        )

    def trajectory(self, done: CanvasRows, special: SpecialTokens) -> Trajectory:
        """What rows that are done have become: what they did not reach is filled up with end of text."""
        return Trajectory(
            tokens=done.tokens.where(done.step_map != NEVER, special.eos_id),
            step_map=done.step_map,
            steps=done.step,
            block_length=self.block_length,
        )

    @torch.no_grad()
    def _advance(
        self,
        denoiser: Denoiser,
        cache: BlockCache | None,
        special: SpecialTokens,
        tries: Sequence[Try],
        steps: Sequence[int],
        prompts: Prompts,
        rows: CanvasRows,
    ) -> CanvasRows:
        """One denoising step of every row, in its active block."""
        block = self._schedule.active_block(rows)
        columns = block[:, None] * self.block_length + torch.arange(self.block_length, device=block.device)
        window, times = rows.tokens.gather(1, columns), rows.step_map.gather(1, columns)
        window = window.masked_fill(times == NEVER, special.mask_id)
        canvas, attention_mask = prompts.followed_by(rows.tokens.scatter(1, columns, window))
        at = prompts.tokens.shape[1] + columns
        hidden = (
            denoiser(canvas, attention_mask, at=at)
            if cache is None
            else cache.read(tries, canvas, attention_mask, at=at)
        )
        keys, is_open = derive(derive(rows.keys, rows.step)[:, None], columns), times == NEVER
        most = sum(map(self._schedule.most_open, steps))
        proposal, sureness, total = self._propose(special, hidden, keys, is_open, most)
        chosen = self._schedule.chosen(sureness, rows.step, is_open)
        return CanvasRows(
            tokens=rows.tokens.scatter(1, columns, proposal.where(chosen, window)),
            step_map=rows.step_map.scatter(1, columns, rows.step[:, None].where(chosen, times)),
            step=rows.step + 1,
            keys=rows.keys,
            is_finite=rows.is_finite & total.isfinite().all(1),
        )

    def _propose(
        self,
        special: SpecialTokens,
        hidden: Hidden,
        keys: Int[Tensor, "B K"],
        is_open: Bool[Tensor, "B K"],
        most: int,
    ) -> list[Tensor]:
        """The token that each open position would take, how sure of it the network is, and the sum of its logits.

        There are at most `most` of them; of the others nothing is said.
        """

        def read(logits: Float[Tensor, "N V"], keys: Int[Tensor, "N"]) -> list[Tensor]:
            total = logits.sum(-1, dtype=torch.float32)  # finite only if every logit is
            logits = forbid(logits, *self.forbidden(special))
            proposal = propose(logits, keys, temperature=self.temperature, noise_dtype=self.noise_dtype)
            sureness = score(logits, proposal, keys, self.remasking, dtype=self.confidence_dtype)
            if self.end_of_text == "last":
                sureness = sureness.masked_fill(is_end(proposal, special.end_ids), -torch.inf)
            return [proposal, sureness, total]

        assert hidden.states.shape[:2] == keys.shape, (
            "a network must answer at the columns that it is asked at"
        )
        [places], _ = columns_of(is_open.view(1, -1), most)
        row, column = places // keys.shape[1], places % keys.shape[1]
        found = hidden[row, column].map(read, keys[row, column])
        return [each.new_zeros(keys.shape).index_put((row, column), each) for each in found]

    def _is_done(self, special: SpecialTokens, rows: CanvasRows) -> Bool[Tensor, "B"]:
        """Rows that have taken all steps, or whose answer is complete: an end token with nothing masked before it."""
        done = self._schedule.is_complete(rows)
        if self.early_exit:
            reached = (rows.step_map != NEVER).long().cumprod(1) == 1
            done = done | (reached & is_end(rows.tokens, special.end_ids)).any(1)
        return done
