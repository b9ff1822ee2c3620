"""Published data sets from the Hugging Face hub, through `datasets`."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from dopsd.task.source.held_out import drawn
from dopsd.task.source.row import Record
from dopsd.task.source.source import Part, PublishedData

_PROBE_S = 5.0
_ENDPOINT = "https://huggingface.co"


@dataclass(frozen=True, kw_only=True)
class HubSplit:
    """One split of one configuration of a data set on the hub."""

    name: str
    split: str
    configuration: str | None = None
    keep: Callable[[Mapping[str, Any]], bool] = lambda row: True


class Hub(PublishedData):
    """Parts that are made of splits on the hub; read when they are asked for, cached by `datasets`."""

    def __init__(
        self,
        parts: Mapping[Part, Sequence[HubSplit]],
        *,
        key: Callable[[Record], str],
        most: Mapping[Part, int] | None = None,
    ) -> None:
        """Read everything; raises ValueError where the hub cannot be reached and nothing is cached.

        `most` bounds a part: the same rows whatever their order, drawn by `key`.
        """
        check_reachable(next(iter(parts.values()))[0].name)
        self._rows: dict[Part, list[Record]] = {
            part: [row for split in splits for row in _load(split)] for part, splits in parts.items()
        }
        for part, size in (most or {}).items():
            self._rows[part] = sorted(self._rows[part], key=lambda row: drawn(key(row)))[:size]

    def parts(self) -> list[Part]:
        """The parts there are."""
        return list(self._rows)

    def rows(self, part: Part) -> list[Record]:
        """The rows of one part; raises ValueError where there is none."""
        if part not in self._rows:
            raise ValueError(f"task.source=hub: has no {part} rows, only {' and '.join(self._rows)}")
        return self._rows[part]


def _load(wanted: HubSplit) -> list[Record]:
    from datasets import load_dataset  # noqa: PLC0415  (slow to import, and most runs need no hub)

    try:
        table = load_dataset(wanted.name, wanted.configuration, split=wanted.split)
    except (OSError, ValueError, RuntimeError) as error:
        raise _error(wanted.name, " ".join(str(error).split())) from error
    where = f"{wanted.name} {wanted.split} row"
    numbered = enumerate(table, start=1)
    return [Record(values=dict(row), where=f"{where} {n}") for n, row in numbered if wanted.keep(row)]  # pyright: ignore[reportCallIssue, reportArgumentType]


def check_reachable(name: str) -> None:
    """Raise at once where there is no network: `datasets` itself would try again and again for half a minute."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        return
    endpoint = os.environ.get("HF_ENDPOINT", _ENDPOINT)
    try:
        urlopen(Request(endpoint, method="HEAD"), timeout=_PROBE_S).close()
    except HTTPError:
        return  # any answer at all will do
    except (OSError, ValueError) as error:
        raise _error(name, f"{endpoint} cannot be reached ({error})") from error


def _error(name: str, reason: str) -> ValueError:
    return ValueError(
        f"task.source=hub: needs the data set {name} from the hub: {reason}; "
        "HF_HUB_OFFLINE=1 reads a cached copy, task.source=files task.path=FOLDER reads files"
    )
