"""Rows of jsonl, csv and parquet files; a mistake in one is named with its file and line."""

import csv
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dopsd.task.source.row import Record, is_encodable

_MAX_FIELD = 1 << 24  # characters
_MAX_DIGITS = 4000  # Python reads an integer of 4300
_MISSING = ("", "nan", "NaN")  # a cell in which there is nothing, as tables are written by pandas


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
        raise ValueError(f"{file.name}: is not UTF-8 text ({error.reason})") from error
    if not rows:
        raise ValueError(f"{file.name}: has no rows")
    return rows


def _jsonl(file: Path) -> Iterator[Record]:
    for number, line in enumerate(_lines(file), start=1):
        if line.strip():
            where = f"{file.name} line {number}"
            yield Record(values=_json_object(line, where), where=where)


def _lines(file: Path) -> Iterator[str]:
    """The lines of a text, their ends as they are, a byte-order mark dropped."""
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        for number, line in enumerate(lines, start=1):
            if not is_encodable(line):
                raise ValueError(f"{file.name} line {number}: is not UTF-8 text")
            yield line


def _json_object(line: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ValueError(f'{where}: is not a JSON object, as in {{"question": ...}}')
    return value


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else math.inf  # which is no answer either


def _csv(file: Path) -> Iterator[Record]:
    csv.field_size_limit(_MAX_FIELD)
    reader = csv.DictReader(_lines(file), strict=True)
    try:
        for values in reader:
            where = f"{file.name} line {reader.line_num}"
            if None in values or None in values.values():
                raise ValueError(f"{where}: has not as many columns as the first line")
            there = {column: None if cell in _MISSING else cell for column, cell in values.items()}
            yield Record(values=there, where=where)
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
