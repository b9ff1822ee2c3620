"""Runs a job in as many processes as its trainer asks for, and ends them all when one of them ends badly."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from dopsd.config.build import required
from dopsd.config.errors import Interruption, UserError
from dopsd.entry.rank import CONFIG, FAILURE, INTERRUPTION, MISTAKE

_POLL_S = 0.1
_GRACE_S = 5.0  # for the others to end by themselves


def on_every_process(job: Callable[[DictConfig, Path], None], config: DictConfig, directory: Path) -> None:
    """Calls `job`, which is `dopsd.NAME.NAME`, here or in processes of its own; raises UserError and Interruption.

    Lightning would start the other ranks by repeating the command, and with it a whole sweep.
    """
    from dopsd.job import Hardware, memory_explained  # noqa: PLC0415  (slow: --help answers without it)

    hardware = Hardware.of(required(config, "trainer"), config)
    if hardware.is_launched:
        with memory_explained(config, directory):
            job(config, directory)
        return
    with tempfile.TemporaryDirectory(prefix="dopsd-") as notes:
        OmegaConf.save(config, Path(notes, CONFIG))
        command = [sys.executable, "-m", "dopsd.entry.rank", job.__name__, str(directory), notes]
        with _started(command, hardware.here, threads=hardware.threads) as ranks:
            _wait_for_all(ranks, Path(notes))


@contextmanager
def _started(command: list[str], count: int, *, threads: int) -> Iterator[list[subprocess.Popen]]:
    """The ranks; afterwards none is left, nor when this process is killed (a rank ends when its stdin does)."""
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    ranks: list[subprocess.Popen] = []
    try:
        for rank in range(count):
            env = {"OMP_NUM_THREADS": str(threads), **os.environ, **meeting, "LOCAL_RANK": str(rank)}
            ranks.append(subprocess.Popen(command, env=env, stdin=subprocess.PIPE, start_new_session=True))
        yield ranks
    finally:
        for process in ranks:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            with process:  # waits, and closes the pipe
                pass


def _wait_for_all(ranks: list[subprocess.Popen], notes: Path) -> None:
    try:
        while any(rank.poll() is None for rank in ranks) and not any(rank.poll() for rank in ranks):
            time.sleep(_POLL_S)
    except KeyboardInterrupt:
        for rank in ranks:
            rank.send_signal(signal.SIGINT)
        _give_time(ranks)
        note = notes / INTERRUPTION
        raise Interruption(note.read_text() if note.exists() else "interrupted") from None
    failed = {number: rank.returncode for number, rank in enumerate(ranks) if rank.returncode}
    if failed:
        _give_time(ranks)
        _raise_for(failed, notes)


def _raise_for(failed: dict[int, int], notes: Path) -> None:
    """`failed` are the ranks that ended first: the others only miss them."""
    number, code = next(iter(failed.items()))
    mistake, failure = notes / MISTAKE, notes / FAILURE
    if code < 0:
        sys.stderr.write(f"dopsd: rank {number} was ended by {signal.Signals(-code).name}\n")
    elif mistake.exists():
        raise UserError(mistake.read_text())
    elif failure.exists():
        sys.stderr.write(failure.read_text())
    else:
        sys.stderr.write(f"dopsd: rank {number} ended with exit code {code}\n")
    sys.exit(1)


def _give_time(ranks: list[subprocess.Popen]) -> None:
    deadline = time.monotonic() + _GRACE_S
    while time.monotonic() < deadline and any(rank.poll() is None for rank in ranks):
        time.sleep(_POLL_S)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]
