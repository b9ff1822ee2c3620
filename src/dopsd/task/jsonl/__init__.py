"""A task of one's own: a file of prompts, and a function that judges responses."""

from dopsd.task.jsonl.task import Jsonl
from dopsd.task.jsonl.verifier import VerifierError

__all__ = ["Jsonl", "VerifierError"]
