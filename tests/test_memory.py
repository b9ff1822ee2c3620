"""Memory of the CPU that was freed is used again, and not asked of the kernel again."""

import platform
import subprocess
import sys

import pytest

LAYERS = """
import resource
import torch
torch.set_num_threads(1)
{allocator}
def layer():
    parts = [torch.zeros(16, 2**18) for _ in range(12)]
    parts.clear()
for _ in range(3):
    layer()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    layer()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 5 * 12 * 16 * 2**20 // 4096  # that five layers touch
KEEPS = "from dopsd.memory import keep_freed_memory; keep_freed_memory()"
GIVES_BACK = "import ctypes; ctypes.CDLL(None).mallopt(-3, 128 << 10)"  # where glibc starts


def faults(allocator: str) -> int:
    """Pages that the kernel handed to five layers after the first three."""
    command = [sys.executable, "-c", LAYERS.format(allocator=allocator)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told to keep memory")
def test_freed_memory_is_used_again() -> None:
    assert faults(GIVES_BACK) > PAGES / 2
    assert faults(KEEPS) < PAGES / 10
