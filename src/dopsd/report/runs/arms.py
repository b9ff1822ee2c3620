"""Runs that differ by nothing but the seed, as one arm, under the shortest name that tells it from the others."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from dopsd.evaluation.interval import Interval
from dopsd.report.runs.run import Run

_FIRST = ("method", "experiment")  # the groups that name an arm best
_NOT_NAMES = (
    "logger",
    "trainer",
    "paths",
    "usual",
)  # groups that change no result, or say nothing of their own


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """A mean over seeds and problems; without bounds where the seeds have not answered the same problems."""

    accuracy: float
    low: float | None
    high: float | None
    n: int

    @classmethod
    def of(cls, runs: Sequence[Run], weights: str) -> "Pooled | None":
        """Of runs that differ by their seed and have ended; None for no run."""
        figures = [run.results[weights] for run in runs]
        if len(figures) < 2:
            return cls(**asdict(figures[0])) if figures else None
        shares = [run.shares(weights) for run in runs]
        if len(shares[0]) > 1 and all(other.keys() == shares[0].keys() for other in shares):
            seeds = [[of[identity] for identity in shares[0]] for of in shares]
            return cls(**asdict(Interval.of_seeds(seeds)))
        mean = sum(figure.accuracy for figure in figures) / len(figures)
        return cls(accuracy=mean, low=None, high=None, n=figures[0].n)

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{100 * self.accuracy:.1f} %"
        return str(Interval(**{key: value for key, value in asdict(self).items() if value is not None}))


@dataclass(frozen=True)
class Arm:
    """One setting: `runs` are its seeds, whatever came of them."""

    label: str
    runs: Sequence[Run]

    @property
    def setting(self) -> list[str]:
        """What was typed for it, as `key=value`."""
        return [f"{key}={value}" for key, value in self.runs[0].typed.items()]

    @property
    def ended(self) -> list[Run]:
        """The runs with results: all that is ever pooled."""
        return [run for run in self.runs if run.has_ended]

    @property
    def not_done(self) -> dict[str, str]:
        """The state of each seed that is not simply done."""
        return {run.seed: run.state for run in self.runs if run.state != "done"}

    @cached_property
    def pooled(self) -> Mapping[str, Pooled | None]:
        """The mean over seeds and problems, by weights."""
        return {weights: Pooled.of(self.ended, weights) for weights in ("base", "best", "final")}


def arms_of(runs: Iterable[Run]) -> list[Arm]:
    """The arms in the order of their first runs, each labelled by what tells it from others; no seed twice in one."""
    groups: dict[Any, list[Run]] = {}
    for run in runs:
        key: Any = (frozenset(_named_arms(run).items()), frozenset(run.typed.items()))
        while run.seed in (there.seed for there in groups.get(key, ())):
            key = (key, "again")
        groups.setdefault(key, []).append(run)
    arms = [Arm(label="", runs=sorted(group, key=_by_seed)) for group in groups.values()]
    return [replace(arm, label=label) for arm, label in zip(arms, _labels(arms), strict=True)]


def _by_seed(run: Run) -> tuple[int, str]:
    return len(run.seed), run.seed


def common_overrides(settings: Sequence[Sequence[str]]) -> set[str]:
    """What was typed for all of several."""
    return set.intersection(*map(set, settings)) if len(settings) > 1 else set()


def _named_arms(run: Run) -> dict[str, str]:
    return {g: arm for g, arm in run.arms.items() if arm and "/" not in g and g not in _NOT_NAMES}


def _labels(arms: Sequence[Arm]) -> list[str]:
    """Facts are added to the labels as long as they tell more arms apart: typed groups, typed numbers, other groups."""
    facts = [_facts(arm.runs[0]) for arm in arms]
    typed = [key for arm in arms for key in arm.runs[0].typed]
    groups = [name for name in typed if any(name in arm.runs[0].arms for arm in arms)]
    names = dict.fromkeys([*_FIRST, *groups, *typed, *(name for of in facts for name in of)])
    chosen: list[str] = []
    for name in names:
        if _count(facts, [*chosen, name]) > _count(facts, chosen):
            chosen.append(name)
    found = [" ".join(filter(None, (_shown(of, name) for name in chosen))) for of in facts]
    labels = [label or "as it is" for label in found] if len(arms) > 1 else [_alone(facts[0])] * len(arms)
    earlier = [labels[:i].count(label) for i, label in enumerate(labels)]
    return [f"{label} ({n + 1})" if n else label for label, n in zip(labels, earlier, strict=True)]


def _facts(run: Run) -> dict[str, str]:
    return _named_arms(run) | {key: value for key, value in run.typed.items() if key not in run.arms}


def _count(facts: Sequence[Mapping[str, str]], names: Sequence[str]) -> int:
    return len({tuple(of.get(name) for name in names) for of in facts})


def _shown(facts: Mapping[str, str], name: str) -> str:
    value = facts.get(name, "")
    return value if name in _FIRST or not value else f"{name}={value}"


def _alone(facts: Mapping[str, str]) -> str:
    return facts.get("method", "run")
