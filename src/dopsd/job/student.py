"""The student: a network, with adapters or without, and the chat that it understands."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn
from torch.distributed.fsdp import FSDPModule

from dopsd.chat import Chat
from dopsd.config.errors import UserError
from dopsd.diffusion.special_tokens import SpecialTokens
from dopsd.finite import NotFiniteError
from dopsd.job.checkpoints import saying
from dopsd.job.plan import Plan
from dopsd.memory import keep_freed_memory
from dopsd.method.method import Method
from dopsd.model import load_adapter_weights, load_tokenizer, not_finite, save_weights, shard, without_cudnn


@dataclass(frozen=True, kw_only=True)
class Student:
    """A network and its chat."""

    network: Any
    chat: Chat
    plan: Plan
    weights: Path | None = None

    @classmethod
    def load(cls, plan: Plan) -> "Student":
        """The first slow thing of a run; raises UserError where the checkpoint is absent or damaged."""
        if plan.device.type == "cpu":
            keep_freed_memory()
        else:
            without_cudnn()
        path = plan.model.arguments["path"]
        with saying(f"model.path={path}"):
            tokenizer, model = load_tokenizer(path), plan.model()
        plan.check_network(model.config)  # of a hub id, known only now
        special = SpecialTokens(mask_id=model.mask_id, eos_id=model.eos_id, end_ids=model.end_ids)
        network = model if plan.lora is None else plan.lora(model=model)
        if plan.adapter is not None:
            with saying(f"adapter={plan.adapter}"):
                load_adapter_weights(network, plan.adapter)
        return cls(network=_placed(network, plan), chat=Chat(tokenizer=tokenizer, special=special), plan=plan)

    @property
    def context(self) -> int:
        """The tokens that prompt and answer may have together."""
        return self.network.config.max_sequence_length

    def method(self) -> Method:
        """The training method, for this student as it is now."""
        chat = replace(self.chat, max_prompt_length=self.plan.settings.max_prompt_length)
        return self.plan.method(network=self.network, chat=chat, task=self.plan.task)

    def save(self, directory: Path) -> None:
        """The adapter, or all weights where there is none."""
        save_weights(self.network, directory)

    def with_weights(self, directory: Path) -> "Student":
        """The student with saved weights (with adapters: this very network, changed); raises UserError."""
        network = self.network
        with saying(str(directory)):
            if self.plan.lora is None:  # which say themselves who sees whom
                of_their_own = dict.fromkeys(("visible", "reading") & self.plan.model.arguments.keys())
                network = self.plan.model(path=str(directory), init="pretrained", **of_their_own)
            else:
                load_adapter_weights(network, directory)
        return Student(network=_placed(network, self.plan), chat=self.chat, plan=self.plan, weights=directory)

    def take_back(self, directory: Path) -> None:
        """Saved weights, in this very network; raises UserError."""
        loaded = self.with_weights(directory).network
        if loaded is not self.network:
            self.network.load_state_dict(loaded.state_dict())

    def blamed_for(self, error: NotFiniteError, during: str) -> UserError:
        """What to raise where numbers are not finite: one line that says whose they are and which weights are not."""
        whose = (
            ""
            if self.weights is None and self.plan.adapter is None
            else f" {self.weights or self.plan.adapter}"
        )
        broken = not_finite(self.network)
        cause = (
            f"{len(broken)} of its tensors are not, as {broken[0]}"
            if broken
            else (f"its weights are: numbers outgrow model.dtype={self.plan.model.arguments['dtype']}")
        )
        return UserError(
            f"model.path={self.plan.model.arguments['path']}{whose}: {error} ({during}); {cause}"
        )


def _placed(network: nn.Module, plan: Plan) -> nn.Module:
    """On this process's device, as a whole or as this rank's part of it."""
    if plan.hardware.is_sharded and not isinstance(network, FSDPModule):
        return shard(network, plan.device)
    return network.to(plan.device)
