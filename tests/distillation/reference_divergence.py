"""The divergences as sums over a vocabulary, in float64, in plain algebra that autograd can follow."""

import torch
from torch import Tensor


def probabilities(logits: Tensor) -> Tensor:
    """Softmax in float64."""
    return logits.double().softmax(-1)


def kl_terms(p: Tensor, q: Tensor) -> Tensor:
    """p log(p/q) entry by entry."""
    return p * (p / q).log()


def terms(name: str, student: Tensor, teacher: Tensor, beta: float = 0.5) -> Tensor:
    """What each vocabulary entry adds to the divergence of two probability vectors."""
    if name == "rkl":
        return kl_terms(student, teacher)
    if name == "fkl":
        return kl_terms(teacher, student)
    mixture = beta * teacher + (1 - beta) * student
    return beta * kl_terms(teacher, mixture) + (1 - beta) * kl_terms(student, mixture)


def nonnegative_terms(name: str, student: Tensor, teacher: Tensor, beta: float = 0.5) -> Tensor:
    """The entries p log(p/q) - p + q of the same sum."""
    if name == "rkl":
        return kl_terms(student, teacher) - student + teacher
    if name == "fkl":
        return kl_terms(teacher, student) - teacher + student
    mixture = beta * teacher + (1 - beta) * student
    to_teacher = kl_terms(teacher, mixture) - teacher + mixture
    to_student = kl_terms(student, mixture) - student + mixture
    return beta * to_teacher + (1 - beta) * to_student


def random_logits(*shape: int, seed: int = 0, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    """Logits of a student and of a teacher that agree on some entries only."""
    random = torch.Generator().manual_seed(seed)
    common = scale * torch.randn(*shape, generator=random)
    return tuple(common + scale / 2 * torch.randn(*shape, generator=random) for _ in range(2))  # type: ignore
