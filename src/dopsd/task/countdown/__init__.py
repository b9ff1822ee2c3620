"""Countdown: prompt, puzzles, gold answers and graders."""

from dopsd.task.countdown.task import Countdown

__all__ = ["Countdown"]
