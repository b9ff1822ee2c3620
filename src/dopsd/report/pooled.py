"""Rows that differ only by their training's seed, as one figure."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from dopsd.evaluation.interval import Interval
from dopsd.report.row import ReportRow


def pooled(rows: Sequence[ReportRow]) -> Iterator[dict[str, Any]]:
    """One entry for each group of at least two rows with the same settings and the same examples."""
    groups: dict[tuple, list[ReportRow]] = {}
    for row in rows:
        if row.repetition is not None:
            groups.setdefault((row.repetition.of, row.fingerprint), []).append(row)
    for group in groups.values():
        seeds = [row.repetition.seed for row in group if row.repetition is not None]
        scores = [row.evaluation.scores for row in group]
        if len(group) < 2 or len(set(seeds)) < len(seeds) or len(group[0].evaluation.problems) < 2:
            continue
        metrics = {
            name: asdict(Interval.of_seeds([list(of.shares[name].values()) for of in scores]))
            for name, shares in scores[0].shares.items()
            if len(shares) > 1
        }
        whole = group[0].as_dict()
        yield {
            "title": _title(group[0].run, seeds),
            "rows": [row.name for row in group],
            "seeds": seeds,
            **{key: whole[key] for key in _SHARED},
            "run": _title(group[0].run, seeds),
            "training_step": None,
            "training_seed": ", ".join(map(str, seeds)),
            **metrics[scores[0].metric],
            "metrics": metrics,
            "interval": "seeds and problems as crossed random effects",
        }


_SHARED = (
    *("weights", "decoding", "task", "model", "metric", "grader", "split", "gen_length", "denoising_steps"),
    *("temperature", "samples"),
)


def _title(first: str, seeds: Sequence[int]) -> str:
    """The first run's name, with all seeds in place of its own."""
    every = f"seeds {', '.join(map(str, seeds))} pooled"
    own = f"seed={seeds[0]}"
    return first.replace(own, every) if own in first else f"{first}, {every}"
