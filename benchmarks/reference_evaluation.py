"""Greedy decoding of a benchmark the reference way: a yardstick for the speed of `dopsd.evaluate`.

Batches of 8 in the order of the examples, left-padded, every block decoded to the end, logits of the whole canvas.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from dopsd.diffusion.sampler import BlockSampler
from dopsd.job import Student
from dopsd.task import Example

BATCH_SIZE = 8


@torch.no_grad()
def decode_reference(student: Student, examples: Sequence[Example], sampler: BlockSampler) -> Tensor:
    """The finished canvases (examples, length)."""
    batches = (examples[start : start + BATCH_SIZE] for start in range(0, len(examples), BATCH_SIZE))
    return torch.cat([_decode_batch(student, batch, sampler) for batch in batches])


def _decode_batch(student: Student, examples: Sequence[Example], sampler: BlockSampler) -> Tensor:
    special, prompts = student.chat.special, student.chat.prompts(examples)
    width = prompts.tokens.shape[1]
    canvas = torch.full((len(examples), sampler.gen_length), special.mask_id)
    sequence, attention_mask = prompts.followed_by(canvas)
    steps_a_block = sampler.denoising_steps // sampler.blocks
    for block in range(sampler.blocks):
        start = width + block * sampler.block_length
        for step in range(steps_a_block):
            logits = student.network(sequence, attention_mask).float()
            logits[..., special.mask_id] = -torch.inf
            proposal = logits.argmax(-1)
            confidence = logits.softmax(-1).gather(-1, proposal[..., None])[..., 0]
            confidence[sequence != special.mask_id] = -torch.inf
            confidence[:, :start] = -torch.inf
            confidence[:, start + sampler.block_length :] = -torch.inf
            for row in range(len(examples)):
                chosen = confidence[row].topk(sampler.unmask_counts[step]).indices
                sequence[row, chosen] = proposal[row, chosen]
    return sequence[:, width:]
