"""What `task.source` opens for a task that people publish as rows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from dopsd.task.source.folder import Folder
from dopsd.task.source.held_out import HeldOut
from dopsd.task.source.row import Record
from dopsd.task.source.source import PublishedData, Source
from dopsd.task.task import check_integer

SourceName = Literal["hub", "files", "generated"]


def open_source(
    source: str,
    *,
    path: str | None,
    dev: int,
    columns: Sequence[Sequence[str]],
    key: Callable[[Record], str],
    others: Mapping[str, Callable[[], Source | PublishedData]],
) -> Source:
    """The source of that name, dev cut from train; raises ValueError for a wrong name, path or file.

    `columns` are those a row must have, each under any of its names, and `key` says which problem it is.
    """
    check_integer("task.dev", dev, 1)
    makers: dict[str, Callable[[], Any]] = {**others, "files": lambda: Folder(path)}
    if source not in makers:
        raise ValueError(f"task.source={source!r}: must be one of {', '.join(sorted(makers))}")
    if path is not None and source != "files":
        raise ValueError(f"task.path={path!r}: is read with task.source=files, not {source}")
    made = makers[source]()
    if isinstance(made, Source):
        return made
    for part in made.parts():  # a missing column is an error now and not in the middle of a run
        try:
            for row in made.rows(part):
                for names in columns:
                    row.get(*names)
        except ValueError as error:
            where = f"task.path={path!r}" if source == "files" else f"task.source={source}"
            raise ValueError(f"{where}: {error}") from error
    return HeldOut(made, key=key, dev=dev)
