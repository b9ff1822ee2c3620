"""A function from outside that judges responses, and what is said where it does not do that."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from dopsd.task.verdict import Verdict

Verify = Callable[[str, Mapping[str, Any]], bool | float]
"""What a response is worth, given the other columns of its row: right or wrong, or a number in 0..1."""


class VerifierError(ValueError):
    """A verifier raises an error, or returns something else than a bool or a number in 0..1."""


class Verifier:
    """A grader of responses by a function; right from `accept_score` on."""

    def __init__(self, path: str, *, accept_score: float) -> None:
        """Raises ValueError where there is no such function."""
        self._subject, self._accept_score = f"task.verifier={path!r}", accept_score
        module, _, name = path.rpartition(".")
        try:
            self._verify: Verify = getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(f"{self._subject}: must be an importable function ({error})") from error
        if not callable(self._verify):
            raise ValueError(f"{self._subject}: must be a function, as in verify(response, row)")

    def check(self, row: Mapping[str, Any]) -> None:
        """Raises ValueError where it does not work on an empty response."""
        try:
            self(row, "")
        except VerifierError as error:
            raise ValueError(str(error)) from error

    def __call__(self, row: Mapping[str, Any], response: str) -> Verdict:
        """What the function says; raises VerifierError where it says nothing that can be used."""
        try:
            value = self._verify(response, row)
        except Exception as error:  # whatever a function from outside raises is its author's to read
            raise VerifierError(f"{self._subject}: raises {type(error).__name__} ({error})") from error
        if not isinstance(value, bool | int | float) or not 0 <= value <= 1:
            raise VerifierError(f"{self._subject}: returns {value!r}, must be a bool or a number in 0..1")
        score = float(value)
        accepted = score >= self._accept_score
        metrics = {"correct": float(accepted), "score": score}
        return Verdict(accepted=accepted, score=score, metrics=metrics, answered=bool(response.strip()))
