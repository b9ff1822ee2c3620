"""Whose weights the teacher has: the student's first or current ones, their average (Table 10), or another model's."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Annotated, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from dopsd.diffusion.denoiser import Denoiser
from dopsd.model import CheckpointError, LLaDAConfig, MaskedDiffusionLM, initial_network, load_model
from dopsd.model.mask_row import tokens_of
from dopsd.model.visible import Causal
from dopsd.setting import setting

Shadow = dict[str, Tensor]


class TeacherWeights(ABC):
    """Made once for a student; `network()` then lends the teacher's network for a forward pass without gradients."""

    @abstractmethod
    def attach(self, student: nn.Module) -> "AttachedWeights":
        """The teacher's network for this student, as the student is now."""


class AttachedWeights(ABC):
    """A teacher's network, bound to one student; `kept` are the weights that it has beside the student's."""

    def __init__(self, kept: Iterable[Tensor] = ()):
        self.kept_bytes = sum(weight.numel() * weight.element_size() for weight in kept)

    @abstractmethod
    def network(self) -> AbstractContextManager[Denoiser]:
        """Lends the network."""

    def after_update(self) -> None:
        """Called after every optimizer step."""

    def state(self) -> Shadow:
        """What must be kept to resume a run."""
        return {}

    def restore(self, state: Shadow) -> None:
        """Takes `state` back."""


@setting
class FixedWeights(TeacherWeights):
    """The weights before training (default): with LoRA the adapter is switched off, else a frozen copy."""

    def attach(self, student: nn.Module) -> AttachedWeights:
        """Copies the student only where it has no adapter."""
        return _SharedWeights(*initial_network(student))


@setting
class LiveWeights(TeacherWeights):
    """The student's current weights."""

    def attach(self, student: nn.Module) -> AttachedWeights:
        """Keeps nothing."""

        @contextmanager
        def live() -> Iterator[nn.Module]:
            yield student

        return _SharedWeights(live)


@setting
class EMAWeights(TeacherWeights):
    """An exponential moving average of the trained weights."""

    decay: Annotated[float, Field(ge=0, lt=1)] = 0.99

    def attach(self, student: nn.Module) -> AttachedWeights:
        """Copies the trained weights."""
        return _AverageWeights(student, self.decay)


@setting
class CheckpointWeights(TeacherWeights):
    """Another model with the student's tokens: a directory or a hub id (a run: what dopsd.export to=merged makes)."""

    path: str | None
    dtype: str

    def attach(self, student: nn.Module) -> AttachedWeights:
        """Reads the model to where the student is; raises ValueError where it is none, or has other tokens."""
        device = next(student.parameters()).device
        try:
            other = load_model(self.named, dtype=self.dtype, device=device)
        except CheckpointError as error:
            raise ValueError(f"teacher_weights.path={self.path}: {error}") from error
        self.check(cast(LLaDAConfig, student.config), other.config)
        return _SharedWeights(partial(nullcontext, other.requires_grad_(False)), other.parameters())

    @property
    def named(self) -> str:
        """The path; raises ValueError where there is none."""
        if not self.path:
            raise ValueError(f"teacher_weights.path={self.path or 'null'}: must be a directory or a hub id")
        return self.path

    def check(self, student: LLaDAConfig, other: LLaDAConfig) -> None:
        """Raises ValueError where the two have other tokens."""
        theirs = tokens_of(other)
        for name, ours in tokens_of(student).items():
            if ours != theirs[name]:
                raise ValueError(
                    f"teacher_weights.path={self.path}: {name}={theirs[name]}, must be {ours} as the student's"
                )

    def check_structure(self, other: LLaDAConfig, *, autoregressive: bool) -> None:
        """Raises ValueError where it is not autoregressive, or where it is and nothing reads it so."""
        if (other.visible == "causal") != autoregressive:
            must = "must be causal, as an autoregressive model is" if autoregressive else "must not be causal"
            raise ValueError(f"teacher_weights.path={self.path}: visible={other.visible}, {must}")


def check_constant(weights: TeacherWeights, hint: str = "") -> None:
    """Raises ValueError for weights that change with the student's."""
    if isinstance(weights, EMAWeights | LiveWeights):
        arm = "ema" if isinstance(weights, EMAWeights) else "live"
        raise ValueError(f"teacher_weights={arm}: must be fixed or checkpoint{hint}")


def autoregressive(weights: TeacherWeights, student: nn.Module) -> AttachedWeights:
    """The teacher's network, which `next_tokens` reads; raises ValueError where another model is not made for that."""
    attached = weights.attach(student)
    if isinstance(weights, CheckpointWeights):
        with attached.network() as other:
            weights.check_structure(cast(MaskedDiffusionLM, other).config, autoregressive=True)
    return attached


def next_tokens(network: Denoiser) -> Denoiser:
    """The network as an autoregressive one: causal, and the output at a column tells the token behind it."""
    return partial(network, visible=Causal(), reading="next")


class _SharedWeights(AttachedWeights):
    def __init__(self, lend: Callable[[], AbstractContextManager[nn.Module]], kept: Iterable[Tensor] = ()):
        super().__init__(kept)
        self._lend = lend

    def network(self) -> AbstractContextManager[Denoiser]:
        return self._lend()


class _AverageWeights(AttachedWeights):
    def __init__(self, student: nn.Module, decay: float):
        self._student, self._decay = student, decay
        self._average = {
            name: p.detach().clone() for name, p in student.named_parameters() if p.requires_grad
        }
        super().__init__(self._average.values())

    @contextmanager
    def network(self) -> Iterator[Denoiser]:
        """Inside, the student itself has the average's weights; its own come back as they were."""
        trained = {name: p for name, p in self._student.named_parameters() if name in self._average}
        before = {name: p.data for name, p in trained.items()}
        try:
            for name, p in trained.items():
                p.data = self._average[name]
            yield self._student
        finally:
            for name, p in trained.items():
                p.data = before[name]

    @torch.no_grad()
    def after_update(self) -> None:
        current = dict(self._student.named_parameters())
        for name, average in self._average.items():
            average.lerp_(current[name], 1 - self._decay)

    def state(self) -> Shadow:
        return self._average

    def restore(self, state: Shadow) -> None:
        self._average = {name: state[name].to(average) for name, average in self._average.items()}
