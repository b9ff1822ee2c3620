"""Every method has one process's figures and gradients on two of them, with whole networks and divided ones."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import every_method
import pytest
import torch
from every_method import METHODS, two_steps
from on_two import command


@pytest.fixture(scope="module")
def of_two(model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two ranks found: starting them takes longer than all of their steps."""
    directory = tmp_path_factory.mktemp("two")
    arguments = every_method.__file__, model, str(directory)
    with ThreadPoolExecutor() as pool:
        for ran in pool.map(lambda rank: command(*arguments, rank, timeout_s=500), "01"):
            assert ran.code == 0, ran.err
    return directory


@pytest.mark.parametrize("name", METHODS)
def test_two_ranks_learn_like_one(name: str, model: str, of_two: Path, half_accepted: None) -> None:
    expected_rows, expected = two_steps(name, model)
    assert sum("train/loss" in row for row in expected_rows) == 2
    assert all(any(gradient.any() for gradient in update.values()) for update in expected)
    for strategy in ("ddp", "fsdp"):
        for rank in (0, 1):
            rows, gradients = torch.load(of_two / f"{strategy}_{name}_{rank}.pt", weights_only=True)
            assert len(rows) == len(expected_rows)
            for row, expected_row in zip(rows, expected_rows, strict=True):
                assert row == pytest.approx(expected_row, rel=1e-4, abs=1e-5)
            for update, expected_update in zip(gradients, expected, strict=True):
                for weight, gradient in expected_update.items():
                    near = 5e-5 * max(1.0, float(gradient.abs().max()))  # rounding of the updates before it
                    torch.testing.assert_close(update[weight], gradient, rtol=1e-4, atol=near)
