"""How many tokens a forward with gradients takes: as many as the user says, or half of them once that was too much."""

import logging

from dopsd.memory import TooLargeError

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

    def halve(self, rows: int, width: int, *, may_repeat: bool = True) -> None:
        """After running out of memory, once a run; raises TooLargeError where that was done, or must not be."""
        old, new = self.tokens, min(self.tokens, rows * width) // 2
        if self._was_halved or not may_repeat or new < width:
            smaller = new if new >= width else None
            what = f"an update on states of {width} tokens{' (halved before)' * self._was_halved}"
            raise TooLargeError("micro_batch_tokens", old, during=what, smaller=smaller)
        self.tokens, self._was_halved = new, True
        log.warning("out of memory: micro_batch_tokens=%d is now %d for this run", old, new)
