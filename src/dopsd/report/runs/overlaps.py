"""The overlap probes among the results of probes, by task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dopsd.evaluation.bootstrap import Mean
from dopsd.report.formats import Figures, Table
from dopsd.report.runs.run import ProbeResult
from dopsd.report.runs.tables import folders_of

_PROBE = "overlap"


@dataclass(frozen=True, kw_only=True)
class Overlaps:
    """Those of one task; `probes` has their contents by their folders, as told from the folder `below`."""

    task: str
    below: str
    probes: Mapping[str, Mapping[str, Any]]

    @property
    def by_step(self) -> dict[str, Sequence[Mapping[str, float]]]:
        """For each teacher of each probe, the mean at each denoising step."""
        several = len(self.probes) > 1
        return {
            f"{teacher}, {folder}" if several else teacher: of["by_step"]
            for folder, probe in self.probes.items()
            for teacher, of in probe["teachers"].items()
        }

    @property
    def table(self) -> Table:
        """Over whole trajectories."""
        rows = [
            [folder, teacher, str(probe["top_k"]), _overall(Mean(**of["overall"]))]
            for folder, probe in self.probes.items()
            for teacher, of in probe["teachers"].items()
        ]
        return Table(
            name=f"{self.task}_overlap",
            title=f"{self.task}: Overlap of student and teacher, mean over answers [95 % interval]",
            head=["probe", "teacher", "top k", "overlap"],
            rows=rows,
            notes=[f"Probes are in {self.below}."],
        )

    @property
    def steps_table(self) -> Table:
        """At each denoising step."""
        names = ("step", "mean", "low", "high", "n")
        rows = [
            [folder, teacher, *(f"{at[name]:.10g}" for name in names)]
            for folder, probe in self.probes.items()
            for teacher, of in probe["teachers"].items()
            for at in of["by_step"]
        ]
        return Table(
            name=f"{self.task}_overlap_steps",
            title=f"{self.task}: Overlap at each denoising step",
            head=["probe", "teacher", *names],
            rows=rows,
            is_for_programs=True,
        )


def overlaps_of(probes: Sequence[ProbeResult]) -> list[Overlaps]:
    """By the task, in the order in which the probes are given; other probes have no part in it."""
    tasks: dict[str, list[ProbeResult]] = {}
    for probe in probes:
        if probe.content["probe"] == _PROBE:
            tasks.setdefault(probe.content["task"], []).append(probe)
    return [_of_task(task, of_it) for task, of_it in tasks.items()]


def other_probes(probes: Sequence[ProbeResult]) -> str:
    """Says which are not in the report; empty where all are."""
    others = [f"{it.content['probe']} in {it.directory}" for it in probes if it.content["probe"] != _PROBE]
    return f"Of probes only overlap is shown, not {', '.join(others)}." if others else ""


def _of_task(task: str, probes: Sequence[ProbeResult]) -> Overlaps:
    below, folders = folders_of([probe.directory for probe in probes])
    contents = [probe.content for probe in probes]
    return Overlaps(task=task, below=below, probes=dict(zip(folders, contents, strict=True)))


def _overall(mean: Mean) -> Figures:
    return Figures(text=f"{mean} (n = {mean.n})", numbers=vars(mean))
