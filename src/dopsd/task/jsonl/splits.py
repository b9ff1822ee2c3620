"""Splits by the names of files; one that has no file is a share of train."""

from collections.abc import Callable
from pathlib import Path

from dopsd.task.source.files import read_rows
from dopsd.task.source.folder import files_in
from dopsd.task.source.held_out import split_of_text
from dopsd.task.source.row import Record
from dopsd.task.source.source import Source
from dopsd.task.task import SPLITS, Split, check_share


class FilesAndShares(Source):
    """Rows whose prompt stands in another split's file are left out of train; the same rows whatever their order."""

    def __init__(
        self, path: str, *, key: Callable[[Record], str], dev_share: float, test_share: float
    ) -> None:
        """One file, or a folder with files train.*, dev.* and test.*; raises ValueError for what cannot be read."""
        check_share("task.dev_share", dev_share)
        check_share("task.test_share", test_share)
        self._path, self._key = path, key
        there = Path(path).expanduser()
        try:
            whole: dict[Split, Path] = {"train": there}
            files = whole if there.is_file() else files_in(there, SPLITS)
            self._rows = {split: read_rows(file) for split, file in files.items()}
            self._keys = {split: [key(row) for row in rows] for split, rows in self._rows.items()}
        except ValueError as error:
            raise ValueError(f"task.path={path!r}: {error}") from error
        cut: dict[Split, float] = {"dev": dev_share, "test": test_share}
        self.first = next(iter(self._rows.values()))[0]
        self._shares: dict[Split, float] = {it: share for it, share in cut.items() if it not in self._rows}
        if sum(self._shares.values()) >= 1:
            raise ValueError(
                f"task.dev_share={dev_share!r}: must leave train something beside task.test_share"
            )

    def rows(self, split: Split) -> list[Record]:
        """Those of its file, or its share of train; raises ValueError where there are none."""
        if split != "train" and split in self._rows:
            return self._rows[split]
        others = {key for it, keys in self._keys.items() if it != "train" for key in keys}
        rest: dict[Split, float] = {"train": 1 - sum(self._shares.values())}
        shares: dict[Split, float] = {**self._shares, **rest}
        rows = zip(self._rows.get("train", ()), self._keys.get("train", ()), strict=True)
        found = [row for row, key in rows if key not in others and split_of_text(key, shares) == split]
        if not found:
            raise ValueError(f"task.path={self._path!r}: {self._nothing(split)}")
        return found

    def _nothing(self, split: Split) -> str:
        if "train" not in self._rows:
            return f"has no {split} rows, only {' and '.join(self._rows)}; they belong in {split}.jsonl"
        share = f" (task.{split}_share={self._shares[split]})" if split in self._shares else ""
        return (
            f"of {len(self._rows['train'])} rows none falls into {split}{share}; {split}.jsonl may hold some"
        )
