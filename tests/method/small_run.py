"""A d-OPSD method around the fakes, studied without a Trainer: its updates are recorded, not optimised."""

from functools import partial
from typing import Any

import lightning
import torch
from fakes import CHAT, JudgeTask, TinyNetwork, example
from torch import Tensor
from torch.utils.data import DataLoader

from dopsd.diffusion.sampler import BlockSampler
from dopsd.distillation.clip import NoClip
from dopsd.distillation.divergence import Objective, ReverseKL
from dopsd.distillation.supervision import TeacherRanked
from dopsd.distillation.teacher import SuffixTeacher
from dopsd.method.dopsd import DOPSD
from dopsd.method.learning import Learning
from dopsd.method.method import Method
from dopsd.method.schedule import Schedule
from dopsd.method.teacher_weights import FixedWeights
from dopsd.rollout import Rollout
from dopsd.stream import Draw, TrainingStream

SAMPLER = BlockSampler(gen_length=12, block_length=4, denoising_steps=6, temperature=1.0)
NETWORK_SEED = 26  # its rollouts end after 4, 5 and 6 of the 6 steps
DRAWS = [Draw(example=example(i, solution="abcd"[: 1 + i % 4]), number=i) for i in range(6)]
EVERY_SECOND = JudgeTask(lambda response, gold: float(gold % 3 != 1))
NONE = JudgeTask(lambda response, gold: 0.0)


def shared(*, network: torch.nn.Module, **options: Any) -> dict[str, Any]:
    """The arguments that every method takes."""
    defaults = {
        "network": network,
        "chat": CHAT,
        "task": EVERY_SECOND,
        "optimizer": partial(torch.optim.SGD, lr=0.05),
        "schedule": Schedule(),
        "gradient_clip": float("inf"),
        "micro_batch_tokens": 10**6,
        "max_steps": 10,
        "seed": 0,
    }
    return defaults | options


def dopsd(*, network: torch.nn.Module | None = None, **options: Any) -> DOPSD:
    """A method whose student differs from its fixed teacher, as after some training."""
    network = network or TinyNetwork(NETWORK_SEED)
    defaults = {
        "rollout": Rollout(sampler=SAMPLER, max_attempts=2),
        "teacher": SuffixTeacher(retain_ratio=0.4),
        "teacher_weights": FixedWeights(),
        "supervision": TeacherRanked(),
        "objective": Objective(divergence=ReverseKL(), clip=NoClip(), overlap_top_k=4),
        "learning": Learning(),
    }
    method = DOPSD(**shared(network=network, **(defaults | options)))
    random = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in network.parameters():
            noise = torch.randn(parameter.shape, generator=random, dtype=parameter.dtype)
            if parameter.requires_grad:
                parameter.add_(0.2 * noise)
    return method


class Study(torch.optim.Optimizer):
    """What a method does in one training step: the loss and gradient of each update, and the rows it logs."""

    def __init__(self, method: Method, draws: list[Draw] = DRAWS):
        self.losses: list[Tensor] = []
        self.gradients: list[dict[str, Tensor]] = []
        self.micro_batches: list[int] = []
        self.rows: list[dict[str, float]] = []
        self.network = method.network
        self.param_groups = []  # none whose learning rate could be changed
        method.optimizers = lambda **_: self  # type: ignore[method-assign]
        method.manual_backward = self._backward  # type: ignore[method-assign]
        method.log_step = lambda values: self.rows.append({k: float(v) for k, v in values.items()})  # type: ignore
        method.training_step(draws, 0)

    def zero_grad(self) -> None:
        """Before an update."""
        self.network.zero_grad()
        self._parts: list[Tensor] = []

    def _backward(self, loss: Tensor) -> None:
        self._parts.append(loss.detach())
        loss.backward()

    def step(self) -> None:
        """In place of an optimizer's step."""
        self.losses.append(torch.stack(self._parts).sum())
        self.micro_batches.append(len(self._parts))
        self.gradients.append(gradients_of(self.network))

    def logged(self, key: str) -> list[float]:
        """All values of one metric."""
        return [row[key] for row in self.rows if key in row]


def gradients_of(network: torch.nn.Module) -> dict[str, Tensor]:
    """The gradient of each trained weight."""
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def assert_close(actual: dict[str, Tensor], expected: dict[str, Tensor], rtol: float = 1e-4) -> None:
    """The same weights have gradients, and the gradients agree."""
    assert actual.keys() == expected.keys()
    for name, gradient in actual.items():
        torch.testing.assert_close(
            gradient, expected[name], rtol=rtol, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}"
        )


def train(method: Method, *, steps: int, batch_size: int = 4, draws: list[Draw] = DRAWS) -> lightning.Trainer:
    """Real Lightning steps on the CPU."""
    stream = TrainingStream([draw.example for draw in draws], length=steps * batch_size, seed=0)
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(method, DataLoader(stream, batch_size=batch_size, collate_fn=list))  # type: ignore[arg-type]
    return trainer
