"""Between text and tokens: examples become prompts, finished canvases become responses."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.special_tokens import SpecialTokens
from dopsd.task import Example


@dataclass(frozen=True, kw_only=True)
class Chat:
    """A tokenizer with a chat template, and the special tokens of the model that it belongs to.

    Of prompts that are longer than `max_prompt_length` only the last so many tokens are given (None: all).
    """

    tokenizer: Any
    special: SpecialTokens
    max_prompt_length: int | None = None

    def prompts(self, examples: Iterable[Example]) -> Prompts:
        """The examples' prompts."""
        return self.prompts_of(example.prompt for example in examples)

    def prompts_of(self, messages: Iterable[str], *, last: int | None = None) -> Prompts:
        """Tokenized chat prompts, left-padded; their `last` tokens where these have a limit of their own."""
        kept = slice(-(last or self.max_prompt_length or 0), None)
        return Prompts.pad([self.encode_prompt(message)[kept] for message in messages], self.special.eos_id)

    def encode_prompt(self, message: str) -> list[int]:
        """One user message behind the chat template, ready for the assistant's answer."""
        return encode_prompt(self.tokenizer, message)

    def encode_response(self, text: str) -> list[int]:
        """A response's tokens and the end of turn."""
        end_of_turn = self.special.end_ids[-1]
        return [*self.tokenizer.encode(text, add_special_tokens=False), end_of_turn]

    def canvases(self, texts: Iterable[str], length: int) -> tuple[Int[Tensor, "N {length}"], list[int]]:
        """The responses that fit into so many tokens, filled up with end of text, and which of the texts they are."""
        encoded = list(enumerate(map(self.encode_response, texts)))
        fitting = [(number, tokens) for number, tokens in encoded if len(tokens) <= length]
        rows = [tokens + [self.special.eos_id] * (length - len(tokens)) for _, tokens in fitting]
        return torch.tensor(rows, dtype=torch.int64).view(-1, length), [number for number, _ in fitting]

    def responses(self, tokens: Int[Tensor, "B L"]) -> list[str]:
        """The text of each canvas up to its first end token."""
        return self.texts(self.answers(tokens))

    def whole_texts(self, tokens: Int[Tensor, "B L"]) -> list[str]:
        """The text of each canvas, with its end tokens and what stands behind them."""
        return self.texts(tokens.tolist())

    def answers(self, tokens: Int[Tensor, "B L"]) -> list[list[int]]:
        """The tokens of each canvas before its first end token."""
        return [answer_tokens(row, self.special) for row in tokens.tolist()]

    def texts(self, answers: Sequence[Sequence[int]]) -> list[str]:
        """What these tokens say."""
        return self.tokenizer.batch_decode(answers) if len(answers) else []  # of nothing it makes one text


def encode_prompt(tokenizer: Any, message: str) -> list[int]:
    """One user message behind the tokenizer's chat template."""
    turns = [{"role": "user", "content": message}]
    return tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)


def answer_tokens(row: Sequence[int], special: SpecialTokens) -> list[int]:
    """The tokens before the first end token."""
    end = next((i for i, token in enumerate(row) if token in special.end_ids), len(row))
    return list(row[:end])
