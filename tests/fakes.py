"""Small stand-ins for what the code is given: a network, a tokenizer, a task, random trajectories."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dopsd.chat import Chat
from dopsd.diffusion.hidden import Hidden
from dopsd.diffusion.special_tokens import SpecialTokens
from dopsd.diffusion.trajectory import NEVER, Trajectory
from dopsd.model.visible import All
from dopsd.task import Example, Task, Verdict

EOS, EOT, MASK, PROMPT = 0, 1, 2, 3
LETTERS = "abcdefghijkl"
VOCABULARY = 4 + len(LETTERS)
SPECIAL = SpecialTokens(mask_id=MASK, eos_id=EOS, end_ids=(EOS, EOT))


class TinyNetwork(nn.Module):
    """A bidirectional network of one mixing layer whose rows depend neither on padding nor on each other."""

    visible = All()

    def __init__(self, seed: int = 0, *, vocabulary: int = VOCABULARY, width: int = 8, scale: float = 2.0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)

        def weight(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape, generator=generator, dtype=torch.float64))

        self.embedding, self.positions = weight(vocabulary, width), weight(64, width)
        self.own, self.context, self.head = (
            weight(width, width),
            weight(width, width),
            weight(width, vocabulary),
        )
        self.scale = scale

    def forward(
        self,
        canvas: Tensor,
        attention_mask: Tensor | None = None,
        at: Tensor | None = None,
    ) -> Hidden:
        real = torch.ones_like(canvas) if attention_mask is None else attention_mask.long()
        hidden = self.embedding[canvas] + self.positions[(real.cumsum(1) - 1).clamp(min=0)]
        mixed = (hidden.sin() * real[..., None]).sum(1, keepdim=True) / real.sum(1)[:, None, None]
        hidden = torch.tanh((hidden @ self.own + 3 * mixed @ self.context) / 3)
        if at is not None:
            hidden = hidden.gather(1, at[..., None].expand(-1, -1, hidden.shape[-1]))
        return Hidden(states=hidden, head=_Head(self.scale * self.head))


class _Head:
    def __init__(self, weight: Tensor):
        self.weight, self.out_features = weight, weight.shape[1]

    def __call__(self, hidden: Tensor) -> Tensor:
        return hidden @ self.weight


def denoiser_of(logits_of: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Callable[..., Hidden]:
    """What a sampler asks, from a function `(canvas, attention_mask, at)` of which only the logits are known."""

    def denoiser(canvas: Tensor, attention_mask: Tensor, *, at: Tensor) -> Hidden:
        logits = logits_of(canvas, attention_mask, at).double()
        return Hidden(states=logits, head=_Head(torch.eye(logits.shape[-1], dtype=torch.float64)))

    return denoiser


class LetterTokenizer:
    """One letter a token; the chat template puts one PROMPT token behind the message."""

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        return [4 + LETTERS.index(letter) for letter in text if letter in LETTERS]

    def apply_chat_template(
        self, turns: list[dict], *, add_generation_prompt: bool, return_dict: bool
    ) -> list[int]:
        assert add_generation_prompt
        assert not return_dict
        return [*self.encode(turns[-1]["content"]), PROMPT]

    def batch_decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        return ["".join(LETTERS[i - 4] if i >= 4 else "?" for i in row) for row in rows]


CHAT = Chat(tokenizer=LetterTokenizer(), special=SPECIAL)


class JudgeTask(Task):
    """A task whose verdict is a function of the response (and of the example's gold)."""

    name = "judge"

    def __init__(self, judge: Callable[[str, Any], float], accept: float = 1.0):
        self.judge, self.accept = judge, accept

    def examples(self, split: str) -> Sequence[Example]:
        return [example(i) for i in range(12)]

    def verdict(self, example: Example, response: str) -> Verdict:
        score = self.judge(response, example.gold)
        return Verdict(accepted=score >= self.accept, score=score)


def example(i: int, solution: str | None = None) -> Example:
    """Example i: a prompt that no other has, of a length from 1 to 4."""
    prompt = LETTERS[i % 12] * (1 + i % 4) + LETTERS[i // 12 % 12]
    return Example(id=f"judge-{i}", prompt=prompt, solution=solution, gold=i)


def random_trajectory(
    seed: int, *, rows: int = 4, blocks: int = 3, block_length: int = 4, steps_per_block: int = 2
) -> Trajectory:
    """Finished canvases unmasked in random order, block by block; about every second row ends early."""
    random = torch.Generator().manual_seed(seed)
    length, total = blocks * block_length, blocks * steps_per_block
    tokens = torch.randint(3, VOCABULARY, (rows, length), generator=random)
    step_map = torch.empty(rows, length, dtype=torch.int64)
    steps = torch.full((rows,), total)
    for row in range(rows):
        for block in range(blocks):
            order = torch.randperm(block_length, generator=random)
            for rank, place in enumerate(order.tolist()):
                step = block * steps_per_block + rank * steps_per_block // block_length
                step_map[row, block * block_length + place] = step
        if torch.rand((), generator=random) < 0.5:
            steps[row] = torch.randint(1, total + 1, (), generator=random)
    step_map = step_map.masked_fill(step_map >= steps[:, None], NEVER)
    tokens = tokens.masked_fill(step_map == NEVER, EOS)
    return Trajectory(tokens=tokens, step_map=step_map, steps=steps, block_length=block_length)
