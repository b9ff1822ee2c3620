"""A small network in float64 whose attention has any structure, written as loops over columns."""

import torch
from fakes import VOCABULARY
from torch import Tensor, nn

from dopsd.diffusion.hidden import Hidden
from dopsd.model.visible import BlockCausal, Visible


class AttendingNetwork(nn.Module):
    """Two layers of attention with one head; reads its own column, or the one before, as the real network does."""

    def __init__(self, visible: Visible, reading: str = "own", *, seed: int = 0, width: int = 6):
        super().__init__()
        random = torch.Generator().manual_seed(seed)

        def weight(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape, generator=random, dtype=torch.float64))

        self.visible, self.reading = visible, reading
        self.embedding, self.positions = weight(VOCABULARY, width), weight(64, width)
        self.layers = nn.ParameterList(weight(3, width, width) for _ in range(2))
        self.head = nn.Linear(width, VOCABULARY, bias=False, dtype=torch.float64)
        nn.init.normal_(self.head.weight, generator=random)

    def forward(
        self,
        sequence: Tensor,
        attention_mask: Tensor | None = None,
        at: Tensor | None = None,
        *,
        visible: Visible | None = None,
        reading: str | None = None,
    ) -> Hidden:
        visible = visible or self.visible
        rows, width = sequence.shape
        real = torch.ones_like(sequence) if attention_mask is None else attention_mask.long()
        columns = torch.arange(width)
        seen = visible.sees(columns[:, None], columns[None], width) & (real[:, None] == 1)
        seen |= torch.eye(width, dtype=torch.bool)
        places = visible.positions((real.cumsum(1) - 1).clamp(min=0))
        hidden = self.embedding[sequence] + self.positions[places]
        for query, key, value in self.layers:
            scores = (hidden @ query) @ (hidden @ key).transpose(1, 2)
            shares = scores.masked_fill(~seen, -torch.inf).softmax(-1)
            hidden = torch.tanh(hidden + shares @ hidden @ value)
        at = columns.expand(rows, -1) if at is None else at
        at = visible.before(at, width) if (reading or self.reading) == "next" else at
        return Hidden(states=hidden.gather(1, at[..., None].expand(-1, -1, hidden.shape[-1])), head=self.head)


def block_network(block_length: int, reading: str = "own", seed: int = 0) -> AttendingNetwork:
    """One that sees blocks."""
    return AttendingNetwork(BlockCausal(block_length), reading, seed=seed)
