"""Prompts, sources of data, and verdicts: a folder for each task."""

from dopsd.task.arithmetic import Arithmetic
from dopsd.task.countdown import Countdown
from dopsd.task.embedded_mixture import EmbeddedMixture
from dopsd.task.graders import Graders
from dopsd.task.jsonl import Jsonl, VerifierError
from dopsd.task.math500 import Math500
from dopsd.task.sudoku import Sudoku
from dopsd.task.task import SPLITS, Example, Split, Task
from dopsd.task.verdict import Verdict, VerdictWord
from dopsd.task.word_problems import GSM8K, GSMSymbolic

__all__ = [
    "GSM8K",
    "SPLITS",
    "Arithmetic",
    "Countdown",
    "EmbeddedMixture",
    "Example",
    "GSMSymbolic",
    "Graders",
    "Jsonl",
    "Math500",
    "Split",
    "Sudoku",
    "Task",
    "Verdict",
    "VerdictWord",
    "VerifierError",
]
