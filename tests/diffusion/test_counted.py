"""The answer's positions against a loop."""

import torch
from fakes import EOS, EOT, random_trajectory

from dopsd.diffusion.counted import counted
from dopsd.diffusion.trajectory import NEVER, Trajectory


def by_loop(tokens: list[int], steps: list[int]) -> list[bool]:
    found, ended = [], False
    for token, step in zip(tokens, steps, strict=True):
        found.append(not ended and step != NEVER)
        ended = ended or token in (EOS, EOT)
    return found


def test_counted_are_all_up_to_the_first_end_token_that_a_step_filled() -> None:
    for seed in range(20):
        trajectory = random_trajectory(seed)
        random = torch.Generator().manual_seed(seed)
        for end in (EOS, EOT):
            places = torch.rand(trajectory.tokens.shape, generator=random) < 0.1
            trajectory.tokens.masked_fill_(places & (trajectory.step_map != NEVER), end)
        rows = zip(trajectory.tokens.tolist(), trajectory.step_map.tolist(), strict=True)
        assert counted(trajectory, (EOS, EOT)).tolist() == [by_loop(*row) for row in rows]


def test_either_end_token_counts_and_nothing_behind_it() -> None:
    tokens = torch.tensor([[5, EOT, EOS, 5], [5, EOS, 5, EOT], [5, 6, 7, 8], [EOT, EOT, EOT, EOT]])
    step_map = torch.zeros(4, 4, dtype=torch.int64)
    trajectory = Trajectory(tokens=tokens, step_map=step_map, steps=torch.ones(4).long(), block_length=4)
    assert counted(trajectory, (EOS, EOT)).sum(1).tolist() == [2, 2, 4, 1]
