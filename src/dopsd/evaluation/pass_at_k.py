"""pass@k: the chance that at least one of k samples of a problem is right."""

from collections.abc import Sequence
from math import comb

from dopsd.evaluation.interval import Interval


def pass_at_k(samples: int, correct: int, k: int) -> float:
    """The unbiased estimate from `samples` answers of which some are correct (Chen et al. 2021, eq. 1).

    Raises ValueError unless 0 <= correct <= samples and 1 <= k <= samples.
    """
    if not 0 <= correct <= samples or not 1 <= k <= samples:
        raise ValueError(f"pass@{k} of {correct} correct among {samples} samples is not defined")
    return 1 - comb(samples - correct, k) / comb(samples, k)


def pass_at(problems: Sequence[Sequence[bool]]) -> dict[int, Interval]:
    """pass@k for k = 1, 2, 4, ... and the number of samples; each problem has the verdicts of its samples."""
    samples = len(problems[0])
    ks = sorted({1 << power for power in range(samples.bit_length())} | {samples})
    return {k: Interval.of_problems([pass_at_k(samples, sum(right), k) for right in problems]) for k in ks}
