"""A folder with train and test files, or one file."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from dopsd.task.source.files import READERS, read_rows
from dopsd.task.source.row import Record
from dopsd.task.source.source import Part, PublishedData

Name = TypeVar("Name", bound=str)


class Folder(PublishedData):
    """Files train.* and test.*; one file alone is train where its name says so, else test."""

    def __init__(self, path: str | None) -> None:
        """Read what there is; raises ValueError for a wrong path or a file that cannot be read."""
        self.path = path
        self._rows: dict[Part, list[Record]] = {}
        for part, file in self._files().items():
            try:
                self._rows[part] = read_rows(file)
            except ValueError as error:
                raise self._error(str(error)) from error

    def parts(self) -> list[Part]:
        """The parts there are files of."""
        return list(self._rows)

    def rows(self, part: Part) -> list[Record]:
        """The rows of one file; raises ValueError where there is none."""
        if part not in self._rows:
            raise self._error(
                f"has no {part} rows, only {' and '.join(self._rows)}; they belong in {part}.jsonl"
            )
        return self._rows[part]

    def _files(self) -> dict[Part, Path]:
        if self.path is None:
            raise self._error("must be a folder with train and test files, or a file, for task.source=files")
        path = Path(self.path).expanduser()
        if path.is_file():
            return {"train" if "train" in path.stem.lower() else "test": path}
        parts: tuple[Part, ...] = ("train", "test")
        try:
            return files_in(path, parts)
        except ValueError as error:
            raise self._error(str(error)) from error

    def _error(self, message: str) -> ValueError:
        shown = "null" if self.path is None else repr(self.path)
        return ValueError(f"task.path={shown}: {message}")


def files_in(folder: Path, names: Sequence[Name]) -> dict[Name, Path]:
    """The file of each of these names, where there is one; raises ValueError where there are two, or none of any."""
    found: dict[Name, Path] = {}
    for name in names:
        files = [folder / f"{name}{suffix}" for suffix in READERS if (folder / f"{name}{suffix}").is_file()]
        if len(files) > 1:
            raise ValueError(f"has {' and '.join(file.name for file in files)}: which one?")
        if files:
            found[name] = files[0]
    if not found:
        raise ValueError(
            f"must be a file, or a folder with {' or '.join(names)} files ({', '.join(READERS)})"
        )
    return found
