"""Sums and short word problems, generated."""

from dopsd.task.arithmetic.task import Arithmetic

__all__ = ["Arithmetic"]
