"""math-verify at arm's length: asked in a process of its own, so that no answer can hang or stop the program."""

import atexit
import json
import logging
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from threading import Lock

_WORKER = Path(__file__).with_name("math_verify_worker.py")
_DEADLINE_S = 20.0  # wall clock; the worker gives up after 2 s of its own processor time
_MAX_LENGTH = 120  # characters
_PLAIN = re.compile(r"[ -~]+")
_TOO_LARGE = re.compile(r"\d{13}|(?:\^.*){5}|!|\^\s*\{?\s*\d{4}")
_DANGLING = re.compile(r"[-+*/^_=<>,(\[{]\s*$|^\s*[*/^_=<>,)\]}]")

log = logging.getLogger(__name__)


@lru_cache(maxsize=4096)
def ask_math_verify(answer: str, gold: str) -> bool:
    """Whether math-verify holds the two equal; no where it cannot read them, and no (logged) where it gives up."""
    if not (is_well_formed(answer) and is_well_formed(gold)):
        return False
    equal = _process.ask(answer, gold)
    if equal is None:
        log.warning("math-verify gave up on %r against %r, which counts as wrong", answer, gold)
    return bool(equal)


def is_well_formed(latex: str) -> bool:
    """Whether an expression is short, plain text, closed, and asks for no huge number."""
    return (
        len(latex) <= _MAX_LENGTH
        and _PLAIN.fullmatch(latex) is not None
        and _DANGLING.search(latex) is None
        and _TOO_LARGE.search(latex) is None
        and latex.count("{") == latex.count("}")
        and sum(map(latex.count, "([")) == sum(map(latex.count, ")]"))
    )


@dataclass
class _Process:
    """The worker, started at the first question, and again where it had to be stopped or this process was forked."""

    worker: "subprocess.Popen[str] | None" = None
    owner: int = 0
    lock: Lock = field(default_factory=Lock)

    def ask(self, answer: str, gold: str) -> bool | None:
        """What the worker says; None where it gives up."""
        if self.owner != os.getpid():
            self.worker, self.owner, self.lock = None, os.getpid(), Lock()
        with self.lock:
            worker = self._running()
            assert worker.stdin is not None
            assert worker.stdout is not None
            try:
                worker.stdin.write(json.dumps([answer, gold]) + "\n")
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
