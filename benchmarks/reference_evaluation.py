"""Greedy decoding of a benchmark the reference way: a yardstick for the speed of `dopsd.evaluate`.

Batches of 8 in the order of the examples, left-padded, every block decoded to the end, logits of the whole canvas.
"""

from collections import deque
from collections.abc import Sequence

import torch
from reference import denoise
from torch import Tensor

from dopsd.diffusion.sampler import BlockSampler
from dopsd.job import Student
from dopsd.task import Example

BATCH_SIZE = 8


def decode_reference(student: Student, examples: Sequence[Example], sampler: BlockSampler) -> Tensor:
    """The finished canvases (examples, length)."""
    batches = (examples[start : start + BATCH_SIZE] for start in range(0, len(examples), BATCH_SIZE))
    return torch.cat([_decode_batch(student, batch, sampler) for batch in batches])


def _decode_batch(student: Student, examples: Sequence[Example], sampler: BlockSampler) -> Tensor:
    mask_id, prompts = student.chat.special.mask_id, student.chat.prompts(examples)
    canvas = torch.full((len(examples), sampler.gen_length), mask_id)
    steps = denoise(
        student.network, *prompts.followed_by(canvas), sampler, mask_id, lambda logits, _: logits.argmax(-1)
    )
    [finished] = deque(steps, maxlen=1)
    return finished[:, -sampler.gen_length :]
