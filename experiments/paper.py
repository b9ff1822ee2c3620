"""The paper's tables and figures on the embedded model: `python experiments/paper.py table5 figure3 ...` (or `paper`).

Most are the sweep of an experiment (conf/experiment): a run that several of them share is made once, one that was
stopped goes on, and what fails is named at the end while the others go on. Table, figure and results.json of each go
to experiments/paper/NAME. Overrides go to every run, in place of what is swept where it has the same key
(`table5 model=llada_8b task=gsm8k trainer=ddp seed=1`), and to a folder of their own beside it.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from dopsd.entry.composing import CONF, explain

HERE = Path(__file__).parent
MAIN_TABLE = (("main_table.py",), ("main_table_report.py", "runs/main_table"))
ELSEWHERE = {  # what has scripts and a folder of its own
    "table1": MAIN_TABLE,
    "table2": MAIN_TABLE,
    "figure1": MAIN_TABLE,
    "table3": (("probes.py", "toy_verification"),),
    "figure3": (("probes.py", "overlap"),),
}
ALL = "paper"


def sweeps() -> dict[str, str]:
    """`table5` -> `table5_divergence`; tables before figures."""
    found = (
        re.fullmatch(r"((table|figure)(\d+))_.*", file.stem) for file in (Path(CONF) / "experiment").iterdir()
    )
    ordered = sorted(filter(None, found), key=lambda name: (name[2] != "table", int(name[3])))
    return {name[1]: name[0] for name in ordered}


def main() -> None:
    """What is asked for, in the paper's order."""
    known = [*ELSEWHERE, *sweeps()]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("asked", nargs="+", metavar="NAME", help=f"{', '.join(known)}; {ALL}: all of them")
    parser.add_argument("--runs", type=Path, default=Path("runs/paper"))
    parser.add_argument("--workers", type=int, default=2, help="runs at a time, one thread each")
    given = parser.parse_args()
    typed = [argument for argument in given.asked if "=" in argument]
    names = names_of([argument for argument in given.asked if "=" not in argument], known, typed)
    leave(names, typed, given.runs.absolute(), workers=given.workers)


def names_of(asked: list[str], known: list[str], typed: list[str]) -> list[str]:
    """What is meant; of all, those that take overrides where there are some. Ends the program for a wrong name."""
    fixed = [name for name in known if typed and ELSEWHERE.get(name) == MAIN_TABLE]
    for name in asked:
        if name not in (*known, ALL):
            refuse(f"{name}: must be one of {', '.join(known)}, {ALL}")
        if name in fixed:
            refuse(f"{name} {typed[0]}: takes no overrides (main_table.py searches for the embedded model)")
    if fixed and ALL in asked:
        sys.stderr.write(f"left out, since they take no overrides: {', '.join(fixed)}\n")
    names = [name for name in known if name not in fixed and (name in asked or ALL in asked)]
    return names or refuse(f"{' '.join(typed)}: of which of {', '.join(known)}, {ALL}?")


def refuse(line: str) -> NoReturn:
    """Ends the program."""
    sys.stderr.write(f"paper.py: {line}\n")
    sys.exit(2)


def leave(names: list[str], typed: list[str], runs: Path, *, workers: int) -> None:
    """Makes what is missing of some, and their tables; ends the program where anything failed."""
    # slow to import: a wrong name is answered without
    from hydra.errors import HydraException  # noqa: PLC0415
    from omegaconf.errors import OmegaConfBaseException  # noqa: PLC0415
    from study import Study, run_missing  # noqa: PLC0415

    from dopsd.config.errors import UserError  # noqa: PLC0415
    from dopsd.entry.arguments import read_arguments  # noqa: PLC0415

    try:
        _, *spelled = read_arguments(["--multirun", *typed], "train")
        swept = [sweeps()[name] for name in names if name in sweeps()]
        studies = [Study(name=name, runs=runs, typed=tuple(spelled)) for name in swept]
        _ = [study.directory(job) for study in studies for job in study.jobs]  # all compose
    except (UserError, HydraException, OmegaConfBaseException) as error:
        refuse(explain(error, typed, "train"))
    scripts = dict.fromkeys(script for name in names for script in ELSEWHERE.get(name, ()))
    failures = [said for script in scripts if (said := run([*script, *typed]))]
    failures += run_missing(studies, workers=workers) if studies else []
    for study in studies:
        study.leave()
    sys.exit("\n".join(failures) or None)


def run(script: list[str]) -> str:
    """Runs a script here; says that it failed where it did."""
    code = subprocess.run([sys.executable, str(HERE / script[0]), *script[1:]], check=False).returncode
    return f"{' '.join(script)}: failed with exit code {code} (what it said stands above)" if code else ""


if __name__ == "__main__":
    main()
