"""Paths on the command line: any path as a shell passes it, and commands that can be pasted into a shell."""

import re
import shlex
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

SWEEP = "sweep.yaml"
"""The list of its jobs in the directory of a sweep."""
OUTPUTS = ("name", "paths.runs", "out", "hydra.run.dir", "hydra.sweep.dir")
"""Where a command writes: `${...}` in them is an interpolation."""
PATHS = (
    *("resume", "checkpoint", "baseline", "compare", "html", "generations", "adapter", "init", "runs"),
    *("model.path", "teacher_weights.path", "task.path", "task.prompt_template", "pairs.path", "source.path"),
    *OUTPUTS,
)
"""The keys whose values are paths."""


def literal(text: str) -> str:
    """The text for a config, where `${` would begin an interpolation."""
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def quoted(text: str) -> str:
    """The text in quotes of Hydra's grammar."""
    return QuotedString(text, Quote.single).with_quotes()


def spelled(key: str, path: str) -> str:
    """A path as a value that Hydra reads as this very text: as it is, or in quotes."""
    text = path if key in OUTPUTS else literal(path)
    try:
        read = OverridesParser.create().parse_override(f"key={text}").value()
    except HydraException:
        read = None
    return text if read == text else quoted(text)


def resume_command(path: Path, *more: str) -> str:
    """The command that goes on with a run, or with the sweep that it is part of."""
    whole = path.parent if (path.parent / SWEEP).is_file() else path
    return shlex.join(["python", "-m", "dopsd.train", f"resume={_typable(whole)}", *more])


def _typable(path: Path) -> str:
    """The path, so that it cannot be taken for a quotation or for a word of Hydra's."""
    text = str(path)
    return f"./{text}" if text[0] in "'\"" or text == "null" else text
