"""Every two arms on the same test problems: the difference, its interval, and how sure it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from dopsd.evaluation.paired_seeds import SeedsComparison, Shares, holm
from dopsd.report.runs.arms import Arm

Answered = Mapping[str, Shares]
"""What each seed has answered right."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two arms, second minus first; `adjusted` is Holm's p over all pairs, `why_not` says why they are not compared."""

    first: Arm
    second: Arm
    comparison: SeedsComparison | None = None
    adjusted: float | None = None
    why_not: str = ""


def compared_pairs(arms: Sequence[Arm], weights: str) -> list[Pair]:
    """The answers of these weights; two arms that cannot be compared say why."""
    answers = [{run.seed: of for run in arm.ended if (of := run.shares(weights))} for arm in arms]
    pairs = [_compared(*two) for two in combinations(zip(arms, answers, strict=True), 2)]
    tested = [of for of in pairs if of.comparison and of.comparison.p is not None]
    adjusted = holm([of.comparison.p for of in tested])  # pyright: ignore
    raised = {id(of): p for of, p in zip(tested, adjusted, strict=True)}
    return [replace(of, adjusted=raised.get(id(of))) for of in pairs]


def _compared(first: tuple[Arm, Answered], second: tuple[Arm, Answered]) -> Pair:
    (one, its_shares), (other, other_shares) = first, second
    for arm, of in (first, second):
        if not of:
            why = f"{arm.label} has " + ("kept no answers" if arm.ended else "no run that has ended")
            return Pair(first=one, second=other, why_not=why)
    try:
        return Pair(first=one, second=other, comparison=SeedsComparison.of(its_shares, other_shares))
    except ValueError as error:
        return Pair(first=one, second=other, why_not=str(error))
