"""Rows of jsonl, csv and parquet files; a mistake in one is named with its file and line."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dopsd.task.source.row import Record

_MAX_FIELD = 1 << 24  # characters


def read_rows(file: Path) -> list[Record]:
    """All rows of a file; raises ValueError, naming the file and line, for what cannot be read."""
    reader = READERS.get(file.suffix)
    if reader is None:
        raise ValueError(f"{file.name}: must end in one of {', '.join(READERS)}")
    try:
        rows = list(reader(file))
    except OSError as error:
        raise ValueError(f"{file.name}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{file.name}: is not UTF-8 text (byte {error.start})") from error
    if not rows:
        raise ValueError(f"{file.name}: has no rows")
    return rows


def _jsonl(file: Path) -> Iterator[Record]:
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield Record(
                    values=_json_object(line, f"{file.name} line {number}"),
                    where=f"{file.name} line {number}",
                )


def _json_object(line: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{where}: is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ValueError(f'{where}: is not a JSON object, as in {{"question": ...}}')
    return value


def _csv(file: Path) -> Iterator[Record]:
    csv.field_size_limit(_MAX_FIELD)
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, strict=True)
        try:
            for values in reader:
                where = f"{file.name} line {reader.line_num}"
                if None in values or None in values.values():
                    raise ValueError(f"{where}: has not as many columns as the first line")
                yield Record(values=values, where=where)
        except csv.Error as error:
            raise ValueError(f"{file.name} line {reader.reader.line_num}: is not csv ({error})") from error


def _parquet(file: Path) -> Iterator[Record]:
    import pyarrow as pa  # noqa: PLC0415  (slow to import, and few files are parquet)
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        table = pq.read_table(file)
    except pa.ArrowException as error:
        raise ValueError(f"{file.name}: is not parquet ({' '.join(str(error).split())})") from error
    for number, values in enumerate(table.to_pylist(), start=1):
        yield Record(values=values, where=f"{file.name} row {number}")


READERS: dict[str, Callable[[Path], Iterator[Record]]] = {
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".parquet": _parquet,
}
