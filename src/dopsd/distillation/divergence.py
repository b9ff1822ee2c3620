"""How far the student is from the teacher at one position: D(P_student, P_teacher) of eq. 11."""

from abc import ABC, abstractmethod
from typing import Annotated, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from dopsd.distillation.clip import Clip
from dopsd.setting import setting

Entries = Float[Tensor, "*shape V"]


class Divergence(ABC):
    """A divergence as its vocabulary entries' contributions, each of them non-negative and 0 where p = q.

    The non-negative form (p log(p/q) - p + q for a KL) and the plain one (p log(p/q)) have the same sum.
    """

    @abstractmethod
    def contributions(self, log_student: Entries, log_teacher: Entries, *, nonnegative: bool) -> Entries:
        """What each vocabulary entry adds to the divergence; the inputs are log-probabilities."""


@setting
class ReverseKL(Divergence):
    """KL(student || teacher)."""

    def contributions(self, log_student: Entries, log_teacher: Entries, *, nonnegative: bool) -> Entries:
        """p_student log(p_student / p_teacher)."""
        return _kl_entries(log_student, log_teacher, nonnegative=nonnegative)


@setting
class ForwardKL(Divergence):
    """KL(teacher || student)."""

    def contributions(self, log_student: Entries, log_teacher: Entries, *, nonnegative: bool) -> Entries:
        """p_teacher log(p_teacher / p_student)."""
        return _kl_entries(log_teacher, log_student, nonnegative=nonnegative)


@setting
class GeneralizedJSD(Divergence):
    """beta KL(teacher || m) + (1 - beta) KL(student || m) with m = beta teacher + (1 - beta) student."""

    beta: Annotated[float, Field(gt=0, lt=1)] = 0.5

    def contributions(self, log_student: Entries, log_teacher: Entries, *, nonnegative: bool) -> Entries:
        """Both KL terms to the mixture, weighted, entry by entry."""
        log_beta = torch.tensor([self.beta, 1 - self.beta], device=log_student.device).log()
        floor = torch.finfo(log_student.dtype).min  # logaddexp(-inf, -inf) has a gradient of nan
        log_mixture = torch.logaddexp(
            log_teacher.clamp(min=floor) + log_beta[0], log_student.clamp(min=floor) + log_beta[1]
        )
        to_teacher = _kl_entries(log_teacher, log_mixture, nonnegative=nonnegative)
        to_student = _kl_entries(log_student, log_mixture, nonnegative=nonnegative)
        return self.beta * to_teacher + (1 - self.beta) * to_student


class PositionLosses(NamedTuple):
    """The clipped divergence that is trained on, and what to log beside it, for each supervised position."""

    loss: Float[Tensor, "*shape"]
    divergence: Float[Tensor, "*shape"]
    top_k_overlap: Float[Tensor, "*shape"]
    student_entropy: Float[Tensor, "*shape"]
    clip_ratio: Float[Tensor, "*shape"]


@setting
class Objective:
    """Compares over the whole vocabulary, or over the teacher's `vocab_top_k` most likely entries.

    These are renormalised, or keep the probabilities that they have among all: then what is left out of the sum may
    make it negative (OPDLM). `dtype` is that of the entries' contributions, which are added up in float32.
    """

    divergence: Divergence
    clip: Clip
    vocab_top_k: Annotated[int, Field(ge=1)] | None = None
    renormalise: bool = True
    overlap_top_k: Annotated[int, Field(ge=1)] = 20
    dtype: Literal["float32", "bfloat16"] = "float32"

    def compare(self, student_logits: Entries, teacher_logits: Entries) -> PositionLosses:
        """The loss has a gradient in the student's logits; everything else is detached."""
        dtype = getattr(torch, self.dtype)
        student, teacher = student_logits.to(dtype), teacher_logits.detach().to(dtype)
        log_student, log_teacher = student.log_softmax(-1), teacher.log_softmax(-1)
        log_p = log_student.detach().float()
        overlap = top_k_overlap(log_p, log_teacher, self.overlap_top_k)
        if self.vocab_top_k is not None and self.vocab_top_k < teacher.shape[-1]:
            support = teacher.topk(self.vocab_top_k, dim=-1).indices
            both = (student, teacher) if self.renormalise else (log_student, log_teacher)
            log_student, log_teacher = (each.gather(-1, support) for each in both)
            if self.renormalise:
                log_student, log_teacher = log_student.log_softmax(-1), log_teacher.log_softmax(-1)
        entries = self.divergence.contributions(
            log_student, log_teacher, nonnegative=self.clip.wants_nonnegative
        )
        return PositionLosses(
            loss=self.clip.total(entries),
            divergence=entries.detach().float().sum(-1),
            top_k_overlap=overlap,
            student_entropy=-_times_log(log_p.exp(), log_p).sum(-1),
            clip_ratio=self.clip.clipped_share(entries.detach()),
        )


def top_k_overlap(student_logits: Entries, teacher_logits: Entries, k: int) -> Float[Tensor, "*shape"]:
    """Share of the student's k most likely entries that are among the teacher's (eq. 13)."""
    k = min(k, student_logits.shape[-1])
    chosen: Int[Tensor, "*shape k"] = student_logits.topk(k, dim=-1).indices
    nowhere: Bool[Tensor, "*shape V"] = torch.zeros_like(teacher_logits, dtype=torch.bool)
    in_teacher = nowhere.scatter(-1, teacher_logits.topk(k, dim=-1).indices, True)
    return in_teacher.gather(-1, chosen).float().mean(-1)


def _kl_entries(log_p: Entries, log_q: Entries, *, nonnegative: bool) -> Entries:
    """p log(p/q), or p log(p/q) - p + q: the same sum over the vocabulary, every entry >= 0."""
    p = log_p.exp()
    entries = _times_log(p, log_p - log_q)
    return entries - p + log_q.exp() if nonnegative else entries


def _times_log(p: Entries, log: Entries) -> Entries:
    """p * log, and 0 where p is 0 (an impossible token has log-probability -inf)."""
    return torch.where(p > 0, p * log.where(p > 0, 0.0), 0.0)
