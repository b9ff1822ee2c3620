"""4x4 Sudoku: prompt, puzzles, gold answers and graders."""

from dopsd.task.sudoku.task import Sudoku

__all__ = ["Sudoku"]
