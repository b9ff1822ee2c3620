"""MATH answers: any mathematical expression."""

import math

from dopsd.task.answer import read_answer
from dopsd.task.graders import Graders
from dopsd.task.grading.field_reading import first_tagged, last_boxed, without_tail
from dopsd.task.math500.equivalence import equivalent
from dopsd.task.math500.field_latex import same_spelling
from dopsd.task.source.row import GoldError, is_encodable, short
from dopsd.task.verdict import Verdict

_MAX_LENGTH = 2000
_MAX_GOLD = 300  # characters


def math_gold(value: object) -> str:
    """A mathematical answer in LaTeX."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    text = str(value).strip() if isinstance(value, str) or is_number else ""
    if text.casefold() in ("", "nan") or len(text) > _MAX_GOLD or not is_encodable(text):
        raise GoldError(f"{short(value)} is not an answer")
    return text


def strict(gold: str, response: str) -> Verdict:
    """Judge the last answer by what it is worth."""
    answer = read_answer(response)
    right = answer is not None and equivalent(answer, gold)
    return Verdict(accepted=right, score=float(right), answered=bool(answer), answer=answer)


def field(gold: str, response: str) -> Verdict:
    """Judge the last box, or else the first answer, by one spelling of LaTeX."""
    response = without_tail(response)
    answer = last_boxed(response) or first_tagged(response)
    right = answer is not None and len(answer) <= _MAX_LENGTH and same_spelling(answer, gold)
    return Verdict(accepted=right, score=float(right), answered=bool(answer), answer=answer)


GRADERS = Graders(strict=strict, field=field, gold=lambda row: math_gold(row["ground_truth"]))
