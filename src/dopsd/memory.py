"""How much memory this process has needed, and what to lower where it does not suffice."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def peak_memory_gb() -> float:
    """Peak gigabytes: of the GPU where one is used, else of the process."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


class TooLargeError(RuntimeError):
    """Memory ran out while the setting `key` had a value; `smaller` is one to try, None where there is none."""

    def __init__(self, key: str, value: int, *, during: str, smaller: int | None):
        super().__init__(f"{key}={value}: out of memory in {during}")
        self.key, self.value, self.during, self.smaller = key, value, during, smaller


@contextmanager
def needing(key: str, value: int, *, during: str, smaller: int | None) -> Iterator[None]:
    """Inside, running out of memory raises TooLargeError about a setting."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TooLargeError(key, value, during=during, smaller=smaller) from error
