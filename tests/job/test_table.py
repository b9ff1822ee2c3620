"""Tables fit the terminal, and whatever stands in a cell can be read in them."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dopsd.job.table import panels, show_table

INTERVAL = "100.0 % [99.6, 100.0]"
NAMES = st.text("abcdefgh=_0123456789", min_size=1, max_size=100)
CELLS = st.sampled_from(
    [
        "",
        "8",
        "1024",
        INTERVAL,
        "+20.4 points [+17.5, +23.3], McNemar mid-p 1.2e-30 (exact 2.3e-30)",
        "12.5 x",
    ]
)
TABLES = st.integers(1, 14).flatmap(
    lambda columns: st.lists(
        st.tuples(NAMES, st.lists(CELLS, min_size=columns, max_size=columns)), min_size=1, max_size=4
    )
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TABLES, st.sampled_from([60, 80, 120]))
def test_nothing_is_cut_and_no_line_is_too_long(
    capsys: pytest.CaptureFixture[str], table: list[tuple[str, list[str]]], width: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("COLUMNS", str(width))
        rows = [[name, *cells] for name, cells in table]
        show_table(
            "a title", ["run", *(f"column {i}" for i in range(len(rows[0]) - 1))], rows, where=Path("d")
        )
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert max(map(len, lines)) <= width
    assert "\N{HORIZONTAL ELLIPSIS}" not in out
    words = " ".join(part.strip() for line in lines for part in line.replace("┃", "│").split("│"))
    for word in (word for row in rows for cell in row[1:] for word in cell.split(" ")):
        assert word in words
    for name in (row[0] for row in rows):
        assert name[:30] in words
        assert name[-5:] in words or len(name) > width - 10


def test_an_interval_is_never_broken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    show_table("", ["run", *"abcdef"], [["seed=1", *[INTERVAL] * 6]], where=Path("d"))
    assert capsys.readouterr().out.count("[99.6, 100.0]") == 6


def test_the_first_column_stands_in_every_part() -> None:
    rows = [["weights", *(f"figure{i}" for i in range(20))]]
    parts = list(panels(rows, 80))
    assert len(parts) > 1
    assert all(part[0] == 0 for part in parts)
    assert [i for part in parts for i in part[1:]] == list(range(1, 21))
