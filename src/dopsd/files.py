"""Files that are there as a whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


class WritingError(OSError):
    """A file that cannot be written; the message is one line."""


@contextmanager
def written_whole(file: Path) -> Iterator[Path]:
    """A path beside the file: what is written there takes the file's place, or is gone where that fails.

    Raises WritingError for a full disk, a directory that may not be written, and the like.
    """
    part = file.with_name(f".{uuid4().hex[:12]}.part")
    try:
        yield part
        os.replace(part, file)
    except OSError as error:
        raise WritingError(f"{file}: cannot be written ({error.strerror or error})") from error
    finally:
        part.unlink(missing_ok=True)


def write_text(file: Path, text: str) -> None:
    """A text as UTF-8; raises WritingError."""
    with written_whole(file) as part:
        part.write_text(text, encoding="utf-8")


def missing_directories(directory: Path) -> list[Path]:
    """The directories to be made for this one, innermost first; raises WritingError where they cannot be."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    existing = directory if not missing else missing[-1].parent
    try:
        Path(tempfile.mkdtemp(dir=existing)).rmdir()
    except OSError as error:
        raise WritingError(f"must be a writable directory ({error.strerror})") from error
    return missing
