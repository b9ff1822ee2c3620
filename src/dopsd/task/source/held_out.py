"""Dev is cut from train, the same rows whatever their order; nothing of test stays in train."""

import logging
from collections.abc import Callable, Mapping
from hashlib import blake2b
from itertools import accumulate

from dopsd.task.source.row import Record, RowError
from dopsd.task.source.source import PublishedData, Source
from dopsd.task.task import Split

SHARES: dict[Split, float] = {"train": 0.60, "dev": 0.15, "test": 0.25}
"""Of generated problems."""

log = logging.getLogger(__name__)


class HeldOut(Source):
    """A published data set with a dev split of its own; `key` is the text by which two rows are the same problem.

    A row for which `key` raises RowError is nobody's problem: it stays in train or test, for the task to leave out.
    """

    def __init__(self, published: PublishedData, *, key: Callable[[Record], str], dev: int) -> None:
        self._published, self._problem, self._dev = published, key, dev

    def rows(self, split: Split) -> list[Record]:
        """Test as it is published; train without the problems of test and dev."""
        if split == "test":
            return self._published.rows("test")
        rows = self._without_test(self._published.rows("train"))
        order = {key: drawn(key) for key in map(self._key, rows) if key is not None}
        if self._dev >= len(order):
            raise ValueError(
                f"task.dev={self._dev}: must be below {len(order)}, the number of train problems"
            )
        dev = set(sorted(order, key=order.__getitem__)[: self._dev])
        return [row for row in rows if (self._key(row) in dev) == (split == "dev")]

    def _without_test(self, rows: list[Record]) -> list[Record]:
        if "test" not in self._published.parts():
            return rows
        test = set(map(self._key, self._published.rows("test"))) - {None}
        kept = [row for row in rows if self._key(row) not in test]
        if len(kept) < len(rows):
            log.warning(
                "%d of %d train rows stand in test too and are left out", len(rows) - len(kept), len(rows)
            )
        return kept

    def _key(self, row: Record) -> str | None:
        try:
            return self._problem(row)
        except RowError:
            return None


def split_of_text(text: str, shares: Mapping[Split, float]) -> Split:
    """The split that a text falls into where each has such a share of all texts; the last named has the rest."""
    position = int.from_bytes(drawn(text), "big") / 2**64
    splits: list[Split] = list(shares)
    below = sum(end <= position for end in accumulate(shares.values()))
    return splits[min(below, len(splits) - 1)]


def drawn(text: str) -> bytes:
    """A place in a random order that depends on nothing but the text."""
    return blake2b(text.encode("utf-8", errors="surrogatepass"), digest_size=8).digest()
