"""A report in parts, one for each task: arms that can be compared, with their tables and what is shown of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dopsd.report.formats import Table
from dopsd.report.runs.arms import Arm, arms_of
from dopsd.report.runs.pairs import compared_pairs
from dopsd.report.runs.run import Run
from dopsd.report.runs.tables import arms_table, curves_table, pairs_table, runs_table


@dataclass(frozen=True, kw_only=True)
class Part:
    """The arms of one task; `weights` are those that are tested in pairs."""

    task: str
    arms: Sequence[Arm]
    weights: str
    runs_table: Table
    arms_table: Table
    pairs_table: Table | None
    curves_table: Table

    @classmethod
    def of(cls, task: str, runs: Sequence[Run], weights: str) -> "Part":
        """Reads the answers of all runs that have kept them."""
        arms = arms_of(runs)
        pairs = compared_pairs(arms, weights)

        def named(table: Table) -> Table:
            return replace(table, name=f"{task}_{table.name}", title=f"{task}: {table.title}")

        return cls(
            task=task,
            arms=arms,
            weights=weights,
            runs_table=named(runs_table(arms)),
            arms_table=named(arms_table(arms)),
            pairs_table=named(pairs_table(pairs, weights)) if pairs else None,
            curves_table=named(curves_table(arms)),
        )

    @property
    def title(self) -> str:
        """The task, and how many problems it is tested on."""
        ended = [of for arm in self.arms if (of := arm.pooled["final"])]
        counts = sorted({of.n for of in ended})
        return self.task + (f" (n = {' or '.join(map(str, counts))})" if counts else "")

    @property
    def tables(self) -> list[Table]:
        """All of them."""
        found = (self.arms_table, self.pairs_table, self.runs_table, self.curves_table)
        return [table for table in found if table is not None]


def parts_of(runs: Sequence[Run], weights: str) -> list[Part]:
    """By the task, in the order in which the runs are given."""
    tasks: dict[str, list[Run]] = {}
    for run in runs:
        tasks.setdefault(run.arms.get("task") or "task", []).append(run)
    return [Part.of(task, of_it, weights) for task, of_it in tasks.items()]


def states_of(runs: Sequence[Run]) -> Mapping[str, int]:
    """How many runs are in each state, the most frequent first."""
    return dict(Counter(run.state for run in runs).most_common())
