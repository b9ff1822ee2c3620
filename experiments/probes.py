"""Runs a probe for its experiment: `python experiments/probes.py toy_verification` (or overlap, drift).

Each run's probe.json, probe.md and probe.png go to experiments/<probe>/ under the run's name.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

RUNS = {
    "toy_verification": {
        "countdown": ("task=countdown",),
        "sudoku": ("task=sudoku",),
        "countdown_kept": ("task=countdown", "probe.keep_revealed=true"),
        "sudoku_kept": ("task=sudoku", "probe.keep_revealed=true"),
    },
    "overlap": {"countdown": ("task=countdown",), "sudoku": ("task=sudoku",)},
    "drift": {"countdown": ("task=countdown",), "sudoku": ("task=sudoku",)},
}
PROMPTS = 256  # of the dev split


def main(probe: str) -> None:
    """One run after the other."""
    for name, overrides in RUNS[probe].items():
        with tempfile.TemporaryDirectory() as directory:
            typed = [f"probe={probe}", *overrides, f"eval_limit={PROMPTS}", f"hydra.run.dir={directory}/run"]
            subprocess.run([sys.executable, "-m", "dopsd.probe", *typed], check=True)
            for kind in ("json", "md", "png"):
                target = Path(__file__).parent / probe / f"{name}.{kind}"
                target.parent.mkdir(exist_ok=True)
                shutil.copyfile(f"{directory}/run/probe.{kind}", target)


if __name__ == "__main__":
    if sys.argv[1:] not in ([name] for name in RUNS):
        sys.exit(f"usage: python experiments/probes.py {'|'.join(RUNS)}")
    main(sys.argv[1])
