"""The W&B workspace of a project, as code: `python -m dopsd.dashboard entity=NAME project=dopsd`."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dopsd.config.errors import UserError
from dopsd.entry.plain import plain_command

HELP = """\
Build the workspace of a project on W&B: views of ablations, of a run, of collapse, of budgets.

  python -m dopsd.dashboard out=dashboard.json                    the specification, without any account
  python -m dopsd.dashboard entity=NAME project=dopsd push=true   saves it there (WANDB_API_KEY, or wandb login)

entity    whose project it is (default: WANDB_ENTITY)
project   default: dopsd
name      of the workspace; default: dopsd
out       the file for the specification; default: dashboard.json
push      true: save the workspace on W&B as well
"""
_DEFAULTS = {"entity": "", "project": "dopsd", "name": "dopsd", "out": "dashboard.json", "push": "false"}


def dashboard(asked: dict[str, str]) -> str:
    """Writes the specification, saves the workspace where that is asked for, and says where; raises UserError."""
    from dopsd.files import WritingError, write_text  # noqa: PLC0415  (slow to import: --help answers without)

    workspace = _built(asked)
    try:
        write_text(Path(asked["out"]), json.dumps(specification(workspace), indent=2) + "\n")
    except WritingError as error:
        raise UserError(f"out={asked['out']}: {error}") from error
    if asked["push"] == "false":
        return asked["out"]
    return workspace.save().url


def specification(workspace: Any) -> dict[str, Any]:
    """What W&B would be sent."""
    return json.loads(workspace._to_model().model_dump_json(by_alias=True, exclude_none=True))


def _built(asked: dict[str, str]) -> Any:
    try:
        import wandb_workspaces  # noqa: F401, PLC0415  # pyright: ignore
    except ImportError as error:
        raise UserError('dashboard: needs another package (pip install "dopsd[dashboard]")') from error
    from dopsd.report.dashboard import workspace  # noqa: PLC0415

    return workspace(entity=asked["entity"], project=asked["project"], name=asked["name"])


def _asked(arguments: Sequence[str]) -> dict[str, str]:
    """What was typed, with the defaults; raises UserError."""
    given = _DEFAULTS | {"entity": os.environ.get("WANDB_ENTITY", "")}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or key not in given:
            raise UserError(f"{argument}: must be one of {', '.join(f'{name}=...' for name in given)}")
        given[key] = value
    if given["push"] not in ("true", "false"):
        raise UserError(f"push={given['push']}: must be true or false")
    if given["push"] == "true" and not given["entity"]:
        raise UserError("entity=: must be a user or a team on W&B (or WANDB_ENTITY), with push=true")
    if given["push"] == "true" and not _has_key():
        raise UserError("push=true: needs a key (WANDB_API_KEY, or wandb login)")
    return given


def _has_key() -> bool:
    from dopsd.job.loggers import is_logged_in  # noqa: PLC0415  (slow to import)

    return is_logged_in()


def main() -> None:
    """The console script."""
    plain_command(lambda arguments: dashboard(_asked(arguments)), manual=HELP)


if __name__ == "__main__":
    main()
