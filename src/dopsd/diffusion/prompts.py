"""Prompts of different length as one rectangle, and the canvas that is filled behind them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """Left-padded prompt tokens with their attention mask: every response starts at the same column."""

    tokens: Int[Tensor, "B P"]
    attention_mask: Bool[Tensor, "B P"]

    @classmethod
    def pad(
        cls, prompts: Sequence[Sequence[int]], pad_id: int, device: torch.device | str = "cpu"
    ) -> "Prompts":
        """Pad token lists to the longest of them."""
        width = max(map(len, prompts))
        tokens = torch.tensor([[pad_id] * (width - len(p)) + list(p) for p in prompts], device=device)
        lengths = torch.tensor([len(p) for p in prompts], device=device)
        return cls(
            tokens=tokens, attention_mask=torch.arange(width, device=device) >= width - lengths[:, None]
        )

    def __len__(self) -> int:
        return self.tokens.shape[0]

    def __getitem__(self, rows: Tensor | slice) -> "Prompts":
        """Some of the prompts, without the columns that are padding in all of them."""
        chosen = self.rows(rows)
        used = chosen.attention_mask.any(0)
        return Prompts(tokens=chosen.tokens[:, used], attention_mask=chosen.attention_mask[:, used])

    def rows(self, rows: Tensor | slice) -> "Prompts":
        """Some of the prompts, with all columns."""
        return Prompts(tokens=self.tokens[rows], attention_mask=self.attention_mask[rows])

    def to(self, device: torch.device | str) -> "Prompts":
        """The same prompts on another device."""
        return Prompts(tokens=self.tokens.to(device), attention_mask=self.attention_mask.to(device))

    def followed_by(self, canvas: Int[Tensor, "B L"]) -> tuple[Int[Tensor, "B PL"], Bool[Tensor, "B PL"]]:
        """Model input: prompt and canvas side by side, and the attention mask of the whole."""
        ones = torch.ones_like(canvas, dtype=torch.bool)
        return torch.cat([self.tokens, canvas], 1), torch.cat([self.attention_mask, ones], 1)
