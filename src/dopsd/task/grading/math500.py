"""MATH answers: any mathematical expression."""

from dopsd.task.answer import read_answer
from dopsd.task.grading.equivalence import equivalent
from dopsd.task.grading.field_latex import same_spelling
from dopsd.task.grading.field_reading import first_tagged, last_boxed, without_tail
from dopsd.task.task import Verdict

_MAX_LENGTH = 2000


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
