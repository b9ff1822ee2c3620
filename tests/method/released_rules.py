"""The paper's equations and the released trainer's rules, in loops over plain numbers and float64.

A trajectory is a finished canvas and the step at which each of its positions was written, as two lists.
"""

from dataclasses import dataclass

import torch
from fakes import EOS, MASK
from torch import Tensor

from dopsd.diffusion.noise import Purpose, derive, uniform

RHO, CLIP, TOP_K, CHUNKS = 0.25, 0.05, 5, 4


@dataclass(frozen=True)
class Written:
    """One trajectory: what was written, when, whether it was right, and its random stream."""

    prompt: list[int]
    tokens: list[int]
    times: list[int]
    right: bool
    key: Tensor
    block_length: int

    @property
    def steps(self) -> int:
        return max(self.times) + 1

    def canvas(self, t: int) -> list[int]:
        return [token if time < t else MASK for token, time in zip(self.tokens, self.times, strict=True)]

    def block(self, t: int) -> int:
        return self.times.index(t) // self.block_length

    def chosen(self, t: int, among: list[int], count: int) -> set[int]:
        """The `count` of these positions whose random numbers of step t are the largest."""
        places = derive(derive(self.key, t)[None], torch.arange(len(self.tokens)))
        numbers = uniform(derive(places, Purpose.REVEAL)).tolist()
        return set(sorted(among, key=lambda i: -numbers[i])[:count])

    def open_in_block(self, t: int, canvas: list[int]) -> list[int]:
        start = self.block(t) * self.block_length
        return [i for i in range(start, start + self.block_length) if canvas[i] == MASK]


def shown(canvas: list[int], tokens: list[int], revealed: set[int]) -> list[int]:
    return [tokens[i] if i in revealed else token for i, token in enumerate(canvas)]


# As the paper has it.


def paper_revealed(it: Written, t: int) -> set[int]:
    """Eq. 8: rho of all that is masked, from anywhere."""
    masked = [i for i, time in enumerate(it.times) if time >= t]
    return it.chosen(t, masked, int(RHO * len(masked)))


def paper_supervised(it: Written, t: int, teacher: Tensor) -> list[int]:
    """Eq. 10, inside the active block: as many as the step wrote, of the largest probability without [MASK]."""
    seen = shown(it.canvas(t), it.tokens, paper_revealed(it, t))
    probability = teacher.index_fill(-1, torch.tensor([MASK]), -torch.inf).softmax(-1).max(-1).values.tolist()
    best_first = sorted(it.open_in_block(t, seen), key=lambda i: -probability[i])
    return best_first[: it.times.count(t)]


def paper_loss(trajectories: list[Written], student, teacher, *, clip: float) -> Tensor:
    """Eq. 11 and 12: mean over right trajectories of 1/T sum_t 1/|K_t| sum_i of the capped reverse KL."""
    total, right = torch.zeros((), dtype=torch.float64), [it for it in trajectories if it.right]
    for it in right:
        for t in range(it.steps):
            read = logits(teacher, it.prompt, shown(it.canvas(t), it.tokens, paper_revealed(it, t))).detach()
            places = paper_supervised(it, t, read)
            own = logits(student, it.prompt, it.canvas(t))
            for i in places:
                entries = reverse_kl(own[i], read[i])
                total = total + entries.clamp(max=clip).sum() / len(places) / it.steps / len(right)
    return total


# As the released trainer has it.


def code_states(it: Written) -> list[int]:
    """The steps whose states are kept: none of the last block, none behind a complete first end of text."""
    kept = []
    for t in range(it.steps):
        canvas = it.canvas(t)
        ended = EOS in canvas and MASK not in canvas[: canvas.index(EOS)]
        if not ended and it.block(t) != len(it.tokens) // it.block_length - 1:
            kept.append(t)
    return kept


def code_chunks(it: Written) -> list[list[int]]:
    """Four chunks of equal size; none where the release raises an error."""
    kept = code_states(it)
    size = (len(kept) - 1) // CHUNKS
    return [kept[n * size : (n + 1) * size] for n in range(CHUNKS)] if size else []


def code_revealed(it: Written, t: int) -> set[int]:
    """rho of the canvas behind the active block; nothing where that begins at or behind the first end of text."""
    length = it.tokens.index(EOS) if EOS in it.tokens else len(it.tokens)
    start = (it.block(t) + 1) * it.block_length
    if start >= length:
        return set()
    candidates = list(range(start, len(it.tokens)))
    return it.chosen(t, candidates, int(len(candidates) * RHO))


def code_supervised(it: Written, t: int, teacher: Tensor) -> list[int]:
    """Two positions of the first block with a mask in it, by the largest raw logit."""
    seen = shown(it.canvas(t), it.tokens, code_revealed(it, t))
    first = seen.index(MASK) // it.block_length * it.block_length
    masked = [i for i in range(first, first + it.block_length) if seen[i] == MASK]
    return sorted(masked, key=lambda i: -float(teacher[i].max()))[:2]


def code_losses(trajectories: list[Written], student, teacher) -> list[Tensor]:
    """One loss a chunk: each prompt's sum over the chunk by its size, times 0 where it is wrong; the prompts' mean."""
    losses = []
    for n in range(CHUNKS):
        total = torch.zeros((), dtype=torch.float64)
        for it in trajectories:
            chunk = (code_chunks(it) or [[]] * CHUNKS)[n]
            for t in chunk:
                seen = shown(it.canvas(t), it.tokens, code_revealed(it, t))
                read = logits(teacher, it.prompt, seen).detach()
                own = logits(student, it.prompt, it.canvas(t))
                for i in code_supervised(it, t, read):
                    top = read[i].topk(TOP_K).indices
                    entries = reverse_kl(own[i][top], read[i][top])
                    total = total + entries.clamp(max=CLIP).sum() / len(chunk) / len(trajectories) * it.right
        losses.append(total)
    return losses


def logits(network, prompt: list[int], canvas: list[int]) -> Tensor:
    """Float64, one row for each position of the canvas."""
    return network(torch.tensor([prompt + canvas])).logits()[0, len(prompt) :].double()


def reverse_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(student || teacher), entry by entry."""
    log_p, log_q = student.log_softmax(-1), teacher.log_softmax(-1)
    return log_p.exp() * (log_p - log_q)
