"""Where a training step's time goes."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Clock:
    """Wall-clock seconds spent in named parts, summed until they are read.

    On a GPU a part is the time to enqueue its work, unless `wait` waits for that (torch.cuda.synchronize): then it is
    the part's own time, and the work is a little slower for it.
    """

    def __init__(self, *, wait: Callable[[], object] = lambda: None) -> None:
        self._wait = wait
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Time a block."""
        self._wait()
        start = time.perf_counter()
        try:
            yield
            self._wait()
        finally:
            self._seconds[part] += time.perf_counter() - start

    def read(self) -> dict[str, float]:
        """The seconds of each part since the last reading."""
        seconds, self._seconds = dict(self._seconds), defaultdict(float)
        return seconds
