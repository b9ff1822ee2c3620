"""How fast a machine multiplies matrices: what the speed of everything else is measured against."""

import statistics
import time
from collections.abc import Callable

import torch


def matmul_tflops(size: int, dtype: torch.dtype, device: torch.device, repetitions: int = 1) -> float:
    """The rate of products of two square matrices of random numbers: the median of ten times, after three.

    Each time as many products, one after the other: with many of them a GPU comes to the clock that it can keep.
    """
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    wait, seconds = waiting(device), []
    for _ in range(13):
        wait()
        start = time.perf_counter()
        for _ in range(repetitions):
            left @ right
        wait()
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 * repetitions / statistics.median(seconds[3:]) / 1e12


def waiting(device: torch.device) -> Callable[[], object]:
    """Waits until the device has done what it was given."""
    return torch.cuda.synchronize if device.type == "cuda" else lambda: None
