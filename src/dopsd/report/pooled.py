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
        shares = [list(row.evaluation.shares.values()) for row in group]
        if len(group) < 2 or len(set(seeds)) < len(seeds) or len(shares[0]) < 2:
            continue
        yield {
            "title": _title(group[0].title, seeds),
            "rows": [row.name for row in group],
            "seeds": seeds,
            "gen_length": group[0].gen_length,
            "denoising_steps": group[0].settings["denoising_steps"],
            **asdict(Interval.of_seeds(shares)),
            "interval": "seeds and problems as crossed random effects",
        }


def _title(first: str, seeds: Sequence[int]) -> str:
    """The first row's title, with all seeds in place of its own."""
    every = f"seeds {', '.join(map(str, seeds))} pooled"
    own = f"seed={seeds[0]}"
    return first.replace(own, every) if own in first else f"{first}, {every}"
