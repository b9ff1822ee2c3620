"""Shape annotations are executed, threads are few, generated examples repeat, and real data is found."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook

TYPED = [
    "dopsd.diffusion",
    "dopsd.distillation",
    "dopsd.kv_cache",
    "dopsd.likelihood",
    "dopsd.method",
    "dopsd.model",
    "dopsd.policy",
    "dopsd.probes",
    "dopsd.rollout",
]
install_import_hook(TYPED, "beartype.beartype")

settings.register_profile("dopsd", deadline=None, derandomize=True, database=None, max_examples=16)
settings.load_profile("dopsd")

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)


def _found(variable: str, name: str) -> Path:
    """The folder that a variable names, or one beside the checkout; skips without it."""
    beside = Path(__file__).parents[2] / "shared" / name
    folder = Path(os.environ.get(variable, beside))
    if not folder.is_dir():
        pytest.skip(f"no {name} at {folder}; {variable} names another folder")
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of benchmark files."""
    return _found("DOPSD_DATA", "data")


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder of inputs with their right outcome."""
    return _found("DOPSD_CASES", "cases")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The override that names a model smaller than the embedded one, the same files in all tests: only to be read."""
    from command_line import small_model  # noqa: PLC0415  (imports dopsd, which the hook must come before)

    return small_model(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture
def half_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A verdict by a response's text, so that a random model has right and wrong answers."""
    from dopsd.task import Countdown, Verdict  # noqa: PLC0415  (the hook must come before)

    def verdict(self: Countdown, example: object, response: str) -> Verdict:
        accepted = sum(map(ord, response)) % 2 == 0
        return Verdict(accepted=accepted, score=float(accepted))

    monkeypatch.setattr(Countdown, "verdict", verdict)
