"""However a rank ends, all end, soon and with its error, and none is left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dopsd.config.errors import Interruption, UserError
from dopsd.entry.processes import _started, _wait_for_all
from dopsd.entry.rank import FAILURE, INTERRUPTION, MISTAKE

WAITS = "import time; time.sleep(300)"


def ranks_that(tmp_path: Path, of_rank_1: str) -> float:
    """Rank 0 waits for ever and rank 1 runs some code; returns the seconds until all have ended."""
    code = f"import os, sys, pathlib, signal\nnotes = pathlib.Path({str(tmp_path)!r})\n"
    code += f"if os.environ['LOCAL_RANK'] == '1':\n    {of_rank_1}\n{WAITS}"
    start = time.monotonic()
    with _started([sys.executable, "-c", code], 2, threads=1) as ranks:
        try:
            _wait_for_all(ranks, tmp_path)
        finally:
            assert time.monotonic() - start < 30
    raise AssertionError("nothing was raised")


def left_behind(marker: str) -> list[str]:
    """Command lines of processes that mention the marker."""
    lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in lines.splitlines() if marker in line]


def test_a_mistake_is_the_commands_own(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="rho=2: no"):
        ranks_that(tmp_path, f"(notes / {MISTAKE!r}).write_text('rho=2: no'); sys.exit(1)")
    assert left_behind(str(tmp_path)) == []


@pytest.mark.parametrize(
    ("of_rank_1", "line"),
    [
        (f"(notes / {FAILURE!r}).write_text('rank 1: KeyError'); sys.exit(1)", "rank 1: KeyError"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "rank 1 was ended by SIGKILL"),
        ("os._exit(7)", "rank 1 ended with exit code 7"),
    ],
)
def test_a_failure_is_told_and_ends_all(
    of_rank_1: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        ranks_that(tmp_path, of_rank_1)
    assert exit_.value.code == 1
    assert line in capsys.readouterr().err
    assert left_behind(str(tmp_path)) == []


def test_ctrl_c_reaches_the_ranks(tmp_path: Path) -> None:
    note = f"(notes / {INTERRUPTION!r}).write_text('go on with: ...')"
    handled = f"signal.signal(signal.SIGINT, lambda *_: ({note}, os._exit(1)))"
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with pytest.raises(Interruption, match="go on with"):
            ranks_that(tmp_path, f"{handled}; os.kill({os.getpid()}, signal.SIGINT)")
    finally:
        signal.signal(signal.SIGINT, before)
    assert left_behind(str(tmp_path)) == []


def test_ranks_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    rank = f"import threading; from dopsd.entry.rank import _end_with_parent as end; '{tmp_path}'\n"
    rank += f"threading.Thread(target=end, daemon=True).start(); print('ready', flush=True)\n{WAITS}"
    parent = "import sys\nfrom dopsd.entry.processes import _started\n"
    parent += f"with _started([sys.executable, '-c', {rank!r}], 2, threads=1):\n    {WAITS}"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["ready\n"] * 2
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while left_behind(str(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left_behind(str(tmp_path)) == []
