"""The same d-OPSD step done the straightforward way: a yardstick for speed, and a second opinion on the loss.

One prompt at a time, tries one after another, every block decoded to the end, logits of the whole sequence for
every state, a copy of the canvas for each step, chunks of a quarter trajectory. It shares with dopsd the network,
the comparison of two distributions, and (with `propose=same_tokens`) the random streams, so that both ways can see
the same tokens.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from dopsd.diffusion.noise import Purpose, coarse_gumbel, derive, example_keys, uniform
from dopsd.diffusion.sampler import BlockSampler
from dopsd.method.dopsd import DOPSD
from dopsd.stream import Draw

CHUNKS = 4


@dataclass
class Kept:
    """One accepted trajectory: the full sequence at every step, and when each response token was written."""

    prompt: Tensor
    sequences: list[Tensor]
    written_at: Tensor
    answer: Tensor
    stream: Tensor


def same_tokens(logits: Tensor, sampler: BlockSampler, keys: Tensor) -> Tensor:
    """What dopsd's sampler would write: the token at which the distribution function passes the stream's number."""
    if sampler.noise_dtype == "bfloat16":
        noise = coarse_gumbel(keys, logits.shape[-1])
        return (logits.bfloat16() + sampler.temperature * noise).argmax(-1)
    cumulative = (logits.double() / sampler.temperature).softmax(-1).cumsum(-1)
    return (cumulative <= uniform(keys)[:, None]).sum(-1)


def gumbel_tokens(logits: Tensor, sampler: BlockSampler, keys: Tensor) -> Tensor:
    """Fresh float64 Gumbel noise on every logit, as the field's samplers do it."""
    noise = torch.rand_like(logits, dtype=torch.float64).log().neg().log().neg()
    return (logits.double() + sampler.temperature * noise).argmax(-1)


Propose = Callable[[Tensor, BlockSampler, Tensor], Tensor]
Network = Callable[..., Tensor]


def reference_step(method: DOPSD, batch: Sequence[Draw], propose: Propose = same_tokens) -> dict[str, float]:
    """The gradients of one rollout, left in the network; returns loss and share of prompts learnt from."""
    tried = [rollout_one(method, draw, propose) for draw in batch]
    kept = [k for k in tried if k is not None]
    loss = sum(learn_from_one(method, k, 1 / len(kept)) for k in kept)
    return {"loss": float(loss), "kept": len(kept) / len(batch)}


def reference_training_step(method: DOPSD, batch: Sequence[Draw]) -> None:
    """Gradients the straightforward way, with fresh noise, and the optimizer step."""
    optimizer = method.optimizers()
    optimizer.zero_grad()
    reference_step(method, batch, propose=gumbel_tokens)
    optimizer.step()


@torch.no_grad()
def rollout_one(method: DOPSD, draw: Draw, propose: Propose) -> Kept | None:
    """Try after try until one answer is accepted; else the first try where rejected ones are learnt from too."""
    device = next(method.network.parameters()).device
    prompt = torch.tensor(method.chat.encode_prompt(draw.example.prompt), device=device)
    reveal_stream = example_keys(method.seed, [draw.number], device=device)
    method.network.eval()
    first = None
    for attempt in range(method.rollout.max_attempts):
        stream = example_keys(method.seed, [draw.number], attempt, device)
        sequences, written_at = decode_one(method, prompt, stream, propose)
        answer = sequences.pop()[len(prompt) :]
        tried = until_end(method, Kept(prompt, sequences, written_at, answer, reveal_stream))
        first = first or tried
        response = method.chat.responses(tried.answer[None])[0]
        if method.task.verdict(draw.example, response).accepted:
            return tried
    return first if method.learning.learn_from == "all" else None


def decode_one(
    method: DOPSD, prompt: Tensor, stream: Tensor, propose: Propose
) -> tuple[list[Tensor], Tensor]:
    """The sequence at every step, the finished one last, and when each response token was written."""
    sampler, mask_id = method.rollout.sampler, method.chat.special.mask_id
    columns = torch.arange(sampler.gen_length, device=prompt.device)
    masked = torch.cat([prompt, torch.full_like(columns, mask_id)])

    def drawn(logits: Tensor, step: int) -> Tensor:
        keys = derive(derive(derive(stream, step)[:, None], columns)[0], Purpose.TOKEN)
        return propose(logits[0], sampler, keys)[None]

    after = denoise(method.network, masked[None], None, sampler, mask_id, drawn)
    sequences = [masked, *(sequence[0] for sequence in after)]
    written_at = torch.full_like(columns, -1)
    for step, (before, now) in enumerate(pairwise(sequences)):
        written_at[(before != now)[len(prompt) :]] = step
    return sequences, written_at


@torch.no_grad()
def denoise(
    network: Network,
    sequence: Tensor,
    attention_mask: Tensor | None,
    sampler: BlockSampler,
    mask_id: int,
    propose: Callable[[Tensor, int], Tensor],
) -> Iterator[Tensor]:
    """The sequences after each step, block after block and every one to its end, with logits of whole sequences.

    `propose(logits, step)` gives a token for every position of the canvas.
    """
    start = sequence.shape[1] - sampler.gen_length
    columns = torch.arange(sampler.gen_length, device=sequence.device)
    for step in range(sampler.denoising_steps):
        block, step_in_block = divmod(step, len(sampler.unmask_counts))
        logits = network(sequence, attention_mask).logits()[:, start:].float()
        logits[..., mask_id] = -torch.inf
        proposal = propose(logits, step)
        confidence = logits.softmax(-1).gather(-1, proposal[..., None])[..., 0]
        confidence[(sequence[:, start:] != mask_id) | (columns // sampler.block_length != block)] = -torch.inf
        sequence = sequence.clone()
        for row in range(len(sequence)):
            chosen = confidence[row].topk(sampler.unmask_counts[step_in_block]).indices
            sequence[row, start + chosen] = proposal[row, chosen]
        yield sequence


def until_end(method: DOPSD, kept: Kept) -> Kept:
    """Forget the steps after an end token with nothing masked before it, where the sampler does so too."""
    if not method.rollout.sampler.early_exit:
        return kept
    special = method.chat.special
    ends = [i for i, token in enumerate(kept.answer.tolist()) if token in special.end_ids]
    last = min((int(kept.written_at[: i + 1].max()) for i in ends), default=len(kept.sequences) - 1)
    after = kept.written_at > last
    kept.answer = kept.answer.masked_fill(after, special.eos_id)
    kept.sequences = kept.sequences[: last + 1]
    return kept


def learn_from_one(method: DOPSD, kept: Kept, weight: float) -> float:
    """Backward through the trajectory's states in chunks, with logits of whole sequences."""
    shown = [shown_to_teacher(method, kept, t) for t in range(len(kept.sequences))]
    usable = [t for t in range(len(shown)) if is_supervised(method, kept, t, shown[t][1])]
    size = -(-len(usable) // CHUNKS)
    total = 0.0
    for first in range(0, len(usable), size):
        chunk = usable[first : first + size]
        method.network.eval()
        with torch.no_grad(), method.teacher_weights.network() as teacher:
            teacher_logits = teacher(torch.stack([shown[t][0] for t in chunk])).logits()
        method.network.train()
        student_logits = method.network(torch.stack([kept.sequences[t] for t in chunk])).logits()
        rows, columns, counts = [], [], []
        for row, t in enumerate(chunk):
            candidates = open_positions(method, kept, t) & ~shown[t][1]
            response_logits = teacher_logits[row, len(kept.prompt) :].float()
            at = len(kept.prompt) + supervised(
                method, response_logits, candidates, int((kept.written_at == t).sum())
            )
            rows.append(torch.full_like(at, row))
            columns.append(at)
            counts.append(len(at))
        there = torch.cat(rows), torch.cat(columns)
        each = method.objective.compare(student_logits[there], teacher_logits[there]).loss.split(counts)
        is_mean = method.learning.over_positions == "mean"
        losses = [of_state.mean() if is_mean else of_state.sum() for of_state in each]
        every_step = method.learning.over_states == "steps"
        divisor = method.rollout.sampler.denoising_steps if every_step else len(usable)
        loss = torch.stack(losses).sum() * weight / divisor
        loss.backward()
        total += float(loss.detach())
    return total


def shown_to_teacher(method: DOPSD, kept: Kept, t: int) -> tuple[Tensor, Tensor]:
    """The sequence at step t with a share of what is masked filled from the answer, and where."""
    teacher, length = method.teacher, len(kept.answer)
    columns = torch.arange(length, device=kept.answer.device)
    later = columns >= (active_block(method, kept, t) + 1) * method.rollout.sampler.block_length
    masked = (kept.written_at >= t) | (kept.written_at < 0) | (kept.written_at >= len(kept.sequences))
    region = masked & later if teacher.region == "later_blocks" else masked
    count = int(teacher.retain_ratio * int((region if teacher.counted == "masked" else later).sum()))
    keys = derive(derive(derive(kept.stream, t)[:, None], columns)[0], Purpose.REVEAL)
    order = uniform(keys).masked_fill(~region, -1).argsort(descending=True)[:count]
    revealed = torch.zeros_like(region)
    revealed[order] = True
    sequence = kept.sequences[t].clone()
    sequence[len(kept.prompt) :][revealed] = kept.answer[revealed]
    return sequence, revealed


def active_block(method: DOPSD, kept: Kept, t: int) -> int:
    """The block in which step t wrote."""
    return int((kept.written_at == t).nonzero()[0]) // method.rollout.sampler.block_length


def open_positions(method: DOPSD, kept: Kept, t: int) -> Tensor:
    """Masked response positions of the active block at step t."""
    block = torch.arange(len(kept.answer), device=kept.answer.device) // method.rollout.sampler.block_length
    return (block == active_block(method, kept, t)) & (kept.written_at >= t)


def is_supervised(method: DOPSD, kept: Kept, t: int, revealed: Tensor) -> bool:
    """Whether a state has a position to learn at, and is not in a last block that is left out."""
    blocks = method.rollout.sampler.blocks
    in_last = active_block(method, kept, t) == blocks - 1
    wanted = method.learning.train_last_block or not in_last
    return wanted and bool((open_positions(method, kept, t) & ~revealed).any())


def supervised(method: DOPSD, teacher_logits: Tensor, candidates: Tensor, count: int) -> Tensor:
    """The candidates of which the teacher is most confident, as many as the student wrote."""
    if method.supervision.measure == "probability":
        teacher_logits = teacher_logits.clone()
        teacher_logits[:, method.chat.special.mask_id] = -torch.inf
        teacher_logits = teacher_logits.softmax(-1)
    best = teacher_logits.max(-1).values.masked_fill(~candidates, -torch.inf)
    return best.topk(min(count, int(candidates.sum()))).indices
