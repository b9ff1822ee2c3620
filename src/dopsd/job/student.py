"""The student: a network, with adapters or without, and the chat that it understands."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dopsd.chat import Chat
from dopsd.config.errors import UserError
from dopsd.diffusion.sampler import SpecialTokens
from dopsd.job.plan import Plan
from dopsd.model import CheckpointError, load_adapter_weights, load_tokenizer, save_weights


@dataclass(frozen=True, kw_only=True)
class Student:
    """A network and its chat."""

    network: Any
    chat: Chat
    plan: Plan

    @classmethod
    def load(cls, plan: Plan, device: torch.device) -> "Student":
        """The first slow thing of a run; raises UserError where the checkpoint is absent or damaged."""
        path = plan.model.arguments["path"]
        try:
            tokenizer, model = load_tokenizer(path), plan.model()
        except CheckpointError as error:
            raise UserError(f"model.path={path}: {error}") from error
        special = SpecialTokens(mask_id=model.mask_id, eos_id=model.eos_id, end_ids=model.end_ids)
        network = model if plan.lora is None else plan.lora(model=model)
        return cls(network=network.to(device), chat=Chat(tokenizer=tokenizer, special=special), plan=plan)

    def save(self, directory: Path) -> None:
        """The adapter, or all weights where there is none."""
        save_weights(self.network, directory)

    def with_weights(self, directory: Path) -> "Student":
        """The student with saved weights (with adapters: this very network, changed); raises CheckpointError."""
        if self.plan.lora is None:
            network = self.plan.model(path=str(directory), init="pretrained")
        else:
            load_adapter_weights(self.network, directory)
            network = self.network
        device = next(self.network.parameters()).device
        return Student(network=network.to(device), chat=self.chat, plan=self.plan)
