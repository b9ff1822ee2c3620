"""Word problems whose answer is a number: GSM8K and GSM-Symbolic."""

from dopsd.task.word_problems.gsm8k import GSM8K
from dopsd.task.word_problems.gsm_symbolic import GSMSymbolic

__all__ = ["GSM8K", "GSMSymbolic"]
