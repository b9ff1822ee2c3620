"""MATH: prompt, gold answers and graders of mathematical expressions."""

from dopsd.task.math500.task import Math500

__all__ = ["Math500"]
