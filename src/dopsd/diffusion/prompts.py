"""Prompts of different length as one rectangle, and the canvas that is filled behind them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """Left-padded prompt tokens with their attention mask: every response starts at the same column.

    `is_padded` is False where it is known that nothing is padding, without asking the device.
    """

    tokens: Int[Tensor, "B P"]
    attention_mask: Bool[Tensor, "B P"]
    is_padded: bool = True

    @classmethod
    def pad(
        cls, prompts: Sequence[Sequence[int]], pad_id: int, device: torch.device | str = "cpu"
    ) -> "Prompts":
        """Pad token lists to the longest of them."""
        lengths = [len(p) for p in prompts]
        width = max(lengths)
        return cls(
            tokens=torch.tensor([[pad_id] * (width - len(p)) + list(p) for p in prompts], device=device),
            attention_mask=torch.tensor([[0] * (width - n) + [1] * n for n in lengths], device=device).bool(),
            is_padded=min(lengths) < width,
        )

    def __len__(self) -> int:
        return self.tokens.shape[0]

    def __getitem__(self, rows: Tensor | slice) -> "Prompts":
        """Some of the prompts, without the columns that are padding in all of them."""
        chosen = self.rows(rows)
        if len(chosen) and not self.is_padded:
            return chosen
        mask = chosen.attention_mask
        shortest, longest = torch.stack(mask.sum(1).aminmax()).tolist() if len(chosen) else (0, 0)
        used = slice(mask.shape[1] - longest, None)
        return Prompts(
            tokens=chosen.tokens[:, used], attention_mask=mask[:, used], is_padded=shortest < longest
        )

    def rows(self, rows: Tensor | slice) -> "Prompts":
        """Some of the prompts, with all columns."""
        return replace(self, tokens=self.tokens[rows], attention_mask=self.attention_mask[rows])

    def unmasked(self) -> "Prompts":
        """The same with padding that is seen like any other token."""
        return replace(self, attention_mask=torch.ones_like(self.attention_mask), is_padded=False)

    def to(self, device: torch.device | str) -> "Prompts":
        """The same prompts on another device."""
        return replace(self, tokens=self.tokens.to(device), attention_mask=self.attention_mask.to(device))

    def followed_by(
        self, canvas: Int[Tensor, "B L"]
    ) -> tuple[Int[Tensor, "B PL"], Bool[Tensor, "B PL"] | None]:
        """Model input: prompt and canvas side by side, and the attention mask of the whole, if it hides anything."""
        whole = torch.cat([self.tokens, canvas], 1)
        if not self.is_padded:
            return whole, None
        ones = torch.ones_like(canvas, dtype=torch.bool)
        return whole, torch.cat([self.attention_mask, ones], 1)
