"""Values of an evaluation that may be several, or that are paths, in the spelling that Hydra reads."""

import re
from collections.abc import Sequence
from pathlib import Path

_SEVERAL = ("gen_length", "compare")
_PATHS = ("checkpoint", "baseline")
_PLAIN = re.compile(r"[\w./~-]+")
_MULTIRUN = ("-m", "--multirun")


def with_lists(arguments: Sequence[str]) -> list[str]:
    """The arguments with `key=a,b` as `key=[a,b]` where the key takes several values, and with paths in quotes.

    With --multirun a comma goes on to mean a sweep.
    """
    if any(flag in arguments for flag in _MULTIRUN):
        return list(arguments)
    return [_spelled(*argument.partition("=")) for argument in arguments]


def _spelled(key: str, equals: str, value: str) -> str:
    if key in _PATHS and Path(value).exists():
        value = _quoted(value)
    elif key == "compare" and value not in ("", "[]", "null"):
        value = f"[{','.join(map(_quoted, _two_paths(value.removeprefix('[').removesuffix(']'))))}]"
    elif key in _SEVERAL and "," in value and value[0] not in "[{":
        value = f"[{value}]"
    return f"{key}{equals}{value}"


def _two_paths(value: str) -> list[str]:
    """The one path there is, or the two in `A,B`, which may have commas in them; else what the commas divide."""
    if Path(value).exists():
        return [value]
    parts = value.split(",")
    for i in range(1, len(parts)):
        pair = [",".join(parts[:i]), ",".join(parts[i:])]
        if all(Path(path.strip()).exists() for path in pair):
            return [path.strip() for path in pair]
    return parts


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value) or value[:1] in ("'", '"'):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
