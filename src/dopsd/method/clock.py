"""Where a training step's time goes."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Wall-clock seconds spent in named parts, summed until they are read."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Time a block; on a GPU that is the time to enqueue it, unless the block itself waits."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[part] += time.perf_counter() - start

    def read(self) -> dict[str, float]:
        """The seconds of each part since the last reading."""
        seconds, self._seconds = dict(self._seconds), defaultdict(float)
        return seconds
