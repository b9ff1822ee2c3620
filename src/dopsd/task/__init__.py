"""Prompts, sources of data, and verdicts."""

from dopsd.task.countdown import Countdown
from dopsd.task.gsm8k import GSM8K
from dopsd.task.gsm_symbolic import GSMSymbolic
from dopsd.task.math500 import Math500
from dopsd.task.mixture import EmbeddedMixture
from dopsd.task.sudoku import Sudoku
from dopsd.task.task import SPLITS, Example, Split, Task, Verdict, VerdictWord

__all__ = [
    "GSM8K",
    "SPLITS",
    "Countdown",
    "EmbeddedMixture",
    "Example",
    "GSMSymbolic",
    "Math500",
    "Split",
    "Sudoku",
    "Task",
    "Verdict",
    "VerdictWord",
]
