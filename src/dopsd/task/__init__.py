"""Prompts, generated puzzles and verdicts."""

from dopsd.task.countdown import Countdown
from dopsd.task.mixture import EmbeddedMixture
from dopsd.task.sudoku import Sudoku
from dopsd.task.task import SPLITS, Example, Split, Task, Verdict

__all__ = ["SPLITS", "Countdown", "EmbeddedMixture", "Example", "Split", "Sudoku", "Task", "Verdict"]
