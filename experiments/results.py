"""results.json of a study: what gave it, the runs that it is made of, and what came of them."""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
PUBLISHED = HERE / "paper" / "published.yaml"
Summary = Mapping[str, Any]  # what a run leaves in summary.json, or a probe in probe.json


def write_results(
    where: Path, command: str, runs: Sequence[Summary], /, *, beside: Sequence[Summary] = (), **found: Any
) -> None:
    """Leaves results.json in a folder, which is made; a line on stderr where its runs are of several revisions.

    `beside` are runs that have no figures of their own here, as those of a search. `seconds` are those of training
    steps, of a probe all.
    """
    every = [*runs, *beside]
    revisions = sorted({revision(run) for run in every})
    if len(revisions) > 1:
        sys.stderr.write(
            f"{where.name}: WARNING: its runs are of several revisions: {', '.join(revisions)}\n"
        )
    made = {
        "command": command,
        "revisions": revisions,
        "seconds": round(sum(run["device_seconds" if "base" in run else "wall_s"] for run in every), 1),
        "seeds": sorted({run["seed"] for run in runs}),
        "n": sorted({run["base"]["n"] if "base" in run else run["asked"] for run in runs}),
    }
    where.mkdir(parents=True, exist_ok=True)
    (where / "results.json").write_text(json.dumps(made | found, indent=1) + "\n")


def revision(run: Summary) -> str:
    """Of the code that a run ended with: `0123456789ab`, or `0123456789ab-dirty` where files were changed."""
    git = run.get("git")
    return f"{git['revision'][:12]}{'-dirty' * git['dirty']}" if git else "unknown"


def summaries(files: Iterable[Path]) -> list[Summary]:
    """What these summary.json hold."""
    return [json.loads(file.read_text()) for file in files]


def published(name: str) -> Mapping[str, Any]:
    """The paper's figures of a study; empty where it has none."""
    return yaml.safe_load(PUBLISHED.read_text()).get(name, {})


def folder(*parts: str) -> str:
    """A folder's name of a study's and of what was typed."""
    return "_".join(re.sub(r"[^\w.=-]+", "-", part) for part in parts)
