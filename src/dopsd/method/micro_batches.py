"""How many tokens a forward with gradients takes: as many as the user says, or half of them once that was too much."""

import gc
import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from dopsd.memory import TooLargeError

T = TypeVar("T")
log = logging.getLogger(__name__)


class MicroBatches:
    """Cuts rows into parts of at most `tokens` tokens each (and at least one row)."""

    def __init__(self, tokens: int):
        self.tokens = tokens
        self._was_halved = False

    def of(self, rows: int, width: int) -> list[slice]:
        """Slices that cover all rows, which are `width` tokens wide."""
        size = max(1, self.tokens // width)
        return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]

    def done_in(
        self, work: Callable[[Sequence[slice]], T], *, rows: int, width: int, may_repeat: bool = True
    ) -> T:
        """What `work` makes of the slices; where it runs out of memory, once a run, of smaller ones and from its start.

        The second time sees the same random numbers, so that the result is that of a run which had the smaller budget
        from its beginning. Raises TooLargeError where that is not enough, or must not be tried (`may_repeat`).
        """
        random = _random_states()
        while True:
            try:
                return work(self.of(rows, width))
            except torch.OutOfMemoryError:
                pass  # what the attempt has made is only free when its traceback is gone
            self._halve(rows, width, may_repeat=may_repeat)
            _set_random_states(random)
            gc.collect()
            torch.cuda.empty_cache()

    def _halve(self, rows: int, width: int, *, may_repeat: bool) -> None:
        old, new = self.tokens, min(self.tokens, rows * width) // 2
        if self._was_halved or not may_repeat or new < width:
            smaller = new if new >= width else None
            what = f"an update on states of {width} tokens{' (halved before)' * self._was_halved}"
            raise TooLargeError("micro_batch_tokens", old, during=what, smaller=smaller)
        self.tokens, self._was_halved = new, True
        log.warning("out of memory: micro_batch_tokens=%d is now %d for this run", old, new)


def _random_states() -> list[torch.Tensor]:
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if torch.cuda.is_initialized() else [])]


def _set_random_states(states: Sequence[torch.Tensor]) -> None:
    cpu, *gpu = states
    torch.set_rng_state(cpu)
    for state in gpu:
        torch.cuda.set_rng_state(state)
