"""math-verify and sympy at arm's length: in a process of their own, so that no answer can hang or stop the program."""

import atexit
import json
import logging
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from threading import Lock

from dopsd.task.math500.intervals import Statement

_WORKER = Path(__file__).with_name("algebra_worker.py")
_DEADLINE_S = 20.0  # wall clock; the worker ends within 2 s of its own processor time

log = logging.getLogger(__name__)


def ask(answers: list[Statement], golds: list[Statement]) -> bool:
    """Whether some reading of the answer agrees with one of the gold; no (logged) where the worker gives up."""
    equal = _process.ask(answers, golds)
    if equal is None:
        log.warning("no verdict in time on %s against %s, which counts as wrong", answers[0], golds[0])
    return bool(equal)


@dataclass
class _Process:
    """The worker, started at the first question, and again where it had to be stopped or this process was forked."""

    worker: "subprocess.Popen[str] | None" = None
    owner: int = 0
    lock: Lock = field(default_factory=Lock)

    def ask(self, answers: list[Statement], golds: list[Statement]) -> bool | None:
        """What the worker says; None where it gives up."""
        if self.owner != os.getpid():
            self.worker, self.owner, self.lock = None, os.getpid(), Lock()
        with self.lock:
            worker = self._running()
            assert worker.stdin is not None
            assert worker.stdout is not None
            try:
                worker.stdin.write(json.dumps([answers, golds]) + "\n")
                worker.stdin.flush()
                with DefaultSelector() as selector:
                    selector.register(worker.stdout, EVENT_READ)
                    line = worker.stdout.readline() if selector.select(_DEADLINE_S) else ""
            except OSError:
                line = ""
            if not line:
                self.stop()
                return None
            return json.loads(line)

    def stop(self) -> None:
        """End the worker, if this process started it."""
        if self.worker is not None and self.owner == os.getpid():
            self.worker.kill()
            self.worker.communicate()
        self.worker = None

    def _running(self) -> "subprocess.Popen[str]":
        if self.worker is not None and self.worker.poll() is not None:
            self.stop()
        if self.worker is None:
            command = [sys.executable, "-I", str(_WORKER)]
            pipe = subprocess.PIPE
            self.worker = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
            )
        return self.worker


_process = _Process()
atexit.register(_process.stop)
