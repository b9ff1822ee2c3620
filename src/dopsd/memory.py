"""How much memory this process has needed, what it keeps, and what to lower where it does not suffice."""

import ctypes
import platform
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h; 32 MiB is as far as glibc itself would raise the latter


def peak_memory_gb() -> float:
    """Peak gigabytes: of the GPU where one is used, else of the process."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def keep_freed_memory() -> None:
    """Memory of the CPU that was freed stays with this process, for the next tensor of that size.

    glibc gives freed pages back after every layer and the kernel hands them out as zeros again, which costs
    more time than the layer's additions. Elsewhere this changes nothing.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)


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
