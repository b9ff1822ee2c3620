"""Every command in the documents can be typed: it composes, and nothing in it is refused by its command."""

import re
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from dopsd.config.of_a_probe import read_by_probe
from dopsd.config.of_the_run import refuse_unread
from dopsd.config.rows import READ_BY_EVALUATION
from dopsd.entry.arguments import read_arguments
from dopsd.entry.composing import CONF

ROOT = Path(__file__).parents[2]
FILES = sorted(
    file
    for file in (*ROOT.rglob("*.md"), *ROOT.glob("conf/*.yaml"))
    if not {".venv", ".git"} & set(file.parts)
)
_COMMAND = re.compile(r"python -m dopsd\.(train|evaluate|probe|grade|report)(?!:)\b([^`\n]*)")
COMMANDS = sorted(
    {
        (found[1], found[2])
        for file in FILES
        for found in _COMMAND.finditer(file.read_text())
        if "hydra=search" not in found[2]  # needs another package: tests/test_sweep.py
    }
)


def words(command: str) -> list[str]:
    """What a shell would pass, with something for what the reader fills in."""
    typed = re.sub(r"<[^>]*>", "TIME", command.partition("  ")[0].partition("  #")[0].rstrip(",:;.)"))
    return shlex.split(typed)


def test_there_are_some_of_every_entry() -> None:
    assert {entry for entry, _ in COMMANDS} == {"train", "evaluate", "probe", "grade", "report"}
    assert len(COMMANDS) > 30


@pytest.mark.parametrize(
    ("entry", "command"), COMMANDS, ids=[f"{entry}{command}" for entry, command in COMMANDS]
)
def test_a_command_composes(entry: str, command: str) -> None:
    arguments = read_arguments(words(command), entry)
    overrides = OverridesParser.create().parse_overrides([it for it in arguments if not it.startswith("-")])
    with initialize_config_dir(CONF, version_base="1.3"):
        for jobs in BasicSweeper.split_arguments(overrides, max_batch_size=None):
            assert "--multirun" in arguments or len(jobs) == 1
            for typed in (jobs[0], jobs[-1]):  # they differ in values alone
                probe = compose(entry, typed, return_hydra_config=True).hydra.runtime.choices.get("probe")
                read = {"evaluate": READ_BY_EVALUATION, "probe": read_by_probe(str(probe))}.get(entry)
                if read is not None:
                    refuse_unread(typed, read, entry)
