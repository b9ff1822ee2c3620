"""What figures depend on besides their settings: versions, hardware, the state of the source code, the data."""

import platform
import subprocess
from collections.abc import Iterable
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from dopsd import __version__
from dopsd.task import Example

_PACKAGES = (
    *("torch", "lightning", "transformers", "tokenizers", "peft", "hydra-core", "numpy", "scipy"),
    *("safetensors", "math-verify", "datasets"),
)
_PACKAGE = Path(__file__).parents[1]


def manifest(device: torch.device, *, dtype: str, attention: str) -> dict[str, Any]:
    """What this process computes with."""
    return {
        "versions": versions(),
        "device": device_name(device),
        "dtype": dtype,
        "attention": attention,
        "git": git_revision(),
    }


def versions() -> dict[str, str]:
    """Of this project, of Python and of what numbers depend on."""
    return {"dopsd": __version__, "python": platform.python_version(), **{p: _version(p) for p in _PACKAGES}}


def device_name(device: torch.device) -> str:
    """The hardware in words."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({platform.machine()}, {torch.get_num_threads()} threads)"


def git_revision(package: Path = _PACKAGE) -> dict[str, Any] | None:
    """The checkout that the package runs from, and whether tracked files were changed; None outside of one."""
    top = _git(package, "rev-parse", "--show-toplevel")
    if top is None or Path(top) / "src" / package.name != package:
        return None
    changed = _git(package, "status", "--porcelain", "--untracked-files=no")
    return {"revision": _git(package, "rev-parse", "HEAD"), "dirty": bool(changed)}


def fingerprint(examples: Iterable[Example]) -> str:
    """A digest of ids, prompts and gold answers in their order: equal figures need equal data."""
    digest = sha256()
    for example in examples:
        for part in (example.id, example.prompt, repr(example.gold)):
            digest.update(len(part).to_bytes(8, "big") + part.encode("utf-8", errors="surrogatepass"))
    return digest.hexdigest()


def _git(directory: Path, *arguments: str) -> str | None:
    try:
        command = ["git", "-C", str(directory), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
