"""math-verify lives in a process of its own: it may die or hang, and the program goes on."""

import os
import signal
import time

import pytest

from dopsd.task.math500.algebra import _Process, ask


def value(latex):
    return [["value", latex]]


@pytest.fixture
def process():
    process = _Process()
    yield process
    process.stop()


def test_it_answers(process):
    assert process.ask(value("x + x"), value("2 x")) is True
    assert process.ask(value("x"), value("2 x")) is False
    assert process.ask(value("\\frac {"), value("1")) is False


def test_a_dead_worker_costs_one_answer(process):
    assert process.ask(value("1"), value("1")) is True
    process.worker.kill()
    process.worker.wait()
    assert process.ask(value("1"), value("1")) is True


def test_a_worker_that_hangs_is_stopped(process, monkeypatch):
    assert process.ask(value("1"), value("1")) is True
    first = process.worker.pid
    os.kill(first, signal.SIGSTOP)
    monkeypatch.setattr("dopsd.task.math500.algebra._DEADLINE_S", 0.2)
    assert process.ask(value("2"), value("2")) is None
    monkeypatch.undo()
    assert process.ask(value("2"), value("2")) is True
    assert process.worker.pid != first


@pytest.mark.parametrize(
    "latex", ["( 9 ^ { 999999999 } ) !", "\\binom { 99999999 } { 44444444 }", "7 ^ { 7 ^ { 99999999 } }"]
)
def test_what_would_take_hours_is_given_up_in_two_seconds(process, latex):
    assert process.ask(value("1 + 1"), value("2")) is True
    start = time.perf_counter()
    assert not process.ask(value(latex), value("1"))
    assert time.perf_counter() - start < 10  # 2 s of its own processor time; the machine may be busy
    assert process.ask(value("1 + 1"), value("2")) is True


def test_a_question_without_an_answer_counts_as_wrong_and_is_logged(monkeypatch, caplog):
    monkeypatch.setattr("dopsd.task.math500.algebra._process.ask", lambda answers, golds: None)
    assert ask(value("x + 1"), value("1 + x")) is False
    assert "no verdict in time on ['value', 'x + 1']" in caplog.text
