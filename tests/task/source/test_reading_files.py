"""The same rows whatever the format; a mistake is named with its file and line."""

import json
from math import inf

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dopsd.task.source.files import read_rows
from dopsd.task.source.folder import Folder

ROWS = [{"question": '1,\n"2"?', "answer": "#### 3"}, {"question": "ümlaut", "answer": "4"}]


def write(folder, name, rows=ROWS):
    file = folder / name
    if name.endswith(".jsonl"):
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif name.endswith(".csv"):
        lines = [
            ",".join('"' + str(value).replace('"', '""') + '"' for value in row.values()) for row in rows
        ]
        file.write_text("\n".join([",".join(rows[0]), *lines]) + "\n", encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), file)
    return file


@pytest.mark.parametrize("name", ["test.jsonl", "test.csv", "test.parquet"])
def test_every_format_has_the_same_rows(tmp_path, name):
    rows = read_rows(write(tmp_path, name))
    assert [dict(row.values) for row in rows] == ROWS
    assert all(row.where.startswith(f"{name} ") for row in rows)


@given(
    st.lists(
        st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9)), min_size=1, max_size=5
    )
)
def test_json_lines_come_back_as_they_were(tmp_path_factory, rows):
    file = tmp_path_factory.mktemp("rows") / "x.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert [dict(row.values) for row in read_rows(file)] == rows


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", b'{"a": 1}\n\n{"a": \n', r"x.jsonl line 3: is not JSON \("),
        ("x.jsonl", b'{"a": 1}\n[1]\n', "x.jsonl line 2: is not a JSON object"),
        ("x.jsonl", b"[" * 100_000, r"x.jsonl line 1: is not JSON"),
        ("x.jsonl", b"", "x.jsonl: has no rows"),
        ("x.jsonl", b"\n \n", "x.jsonl: has no rows"),
        ("x.jsonl", b"\xff\xfe", "x.jsonl line 1: is not UTF-8 text"),
        ("x.jsonl", b'{"a": 1}\n{"a": "\xed\xa0\x80"}\n', "x.jsonl line 2: is not UTF-8 text"),
        ("x.csv", b"a,b\n1,2\n1,\xe9\n", "x.csv line 3: is not UTF-8 text"),
        ("x.csv", b"a,b\n1,2\n3\n", "x.csv line 3: has not as many columns as the first line"),
        ("x.csv", b"a,b\n1,2,3\n", "x.csv line 2: has not as many columns as the first line"),
        ("x.csv", b'a,b\n"1,2\n', "x.csv line 2: is not csv"),
        ("x.csv", b"a,b\n", "x.csv: has no rows"),
        ("x.parquet", b"PAR1", "x.parquet: is not parquet"),
        ("x.txt", b"1", "x.txt: must end in one of .jsonl, .csv, .parquet"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path, name, content, message):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{message}[^\n]*$"):
        read_rows(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"^x.jsonl: cannot be read"):
        read_rows(tmp_path / "x.jsonl")


def test_columns_are_found_under_any_of_their_names(tmp_path):
    row = read_rows(write(tmp_path, "x.jsonl", [{"Puzzle": "1", "b": 2}]))[0]
    assert row.get("puzzle") == row.get("a", "PUZZLE") == "1"
    with pytest.raises(ValueError, match=r"^x.jsonl line 1: has no column c or d \(there are Puzzle, b\)$"):
        row.get("c", "d")


def test_a_folder_has_the_parts_there_are_files_of(tmp_path):
    write(tmp_path, "train.csv")
    assert Folder(str(tmp_path)).parts() == ["train"]
    write(tmp_path, "test.parquet")
    folder = Folder(str(tmp_path))
    assert folder.parts() == ["train", "test"]
    assert [row.values for row in folder.rows("train")] == [row.values for row in folder.rows("test")]


@pytest.mark.parametrize(("name", "part"), [("my_train_set.jsonl", "train"), ("questions.jsonl", "test")])
def test_one_file_is_train_where_its_name_says_so(tmp_path, name, part):
    folder = Folder(str(write(tmp_path, name)))
    assert folder.parts() == [part]
    other = "test" if part == "train" else "train"
    with pytest.raises(ValueError, match=rf"^task.path='[^']*{name}': has no {other} rows, only {part}"):
        folder.rows(other)


def test_what_is_no_data_is_refused_in_one_line(tmp_path):
    for path, message in [
        (None, "task.path=null: must be a folder"),
        (str(tmp_path / "nowhere"), "must be a file, or a folder"),
        (str(tmp_path), "must be a file, or a folder"),
    ]:
        with pytest.raises(
            ValueError, match=rf"^task.path=[^\n]*{message.removeprefix('task.path=')}[^\n]*$"
        ):
            Folder(path)
    write(tmp_path, "test.csv")
    write(tmp_path, "test.jsonl")
    with pytest.raises(ValueError, match=r"has test.jsonl and test.csv: which one\?$"):
        Folder(str(tmp_path))
    (tmp_path / "test.csv").unlink()
    (tmp_path / "test.jsonl").write_text("{")
    with pytest.raises(ValueError, match=r"^task.path='[^']*': test.jsonl line 1: is not JSON"):
        Folder(str(tmp_path))


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv"])
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path, name):
    file = write(tmp_path, name)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert [dict(row.values) for row in read_rows(file)] == ROWS


def test_an_integer_of_any_length_is_a_number(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"a": ' + "9" * 5000 + '}\n{"a": 3}\n')
    assert [row.get("a") for row in read_rows(tmp_path / "x.jsonl")] == [inf, 3]
