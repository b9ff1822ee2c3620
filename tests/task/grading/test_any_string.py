"""Whatever a model writes gets a verdict, soon, the same with or without end tokens behind it; nothing is executed."""

import time
from fractions import Fraction
from unittest.mock import Mock, patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dopsd.task import GSM8K, Arithmetic, Countdown, Math500, Sudoku, Verdict
from dopsd.task.countdown.gold import CountdownGold
from dopsd.task.graders import GraderName
from dopsd.task.math500 import algebra
from dopsd.task.sudoku.gold import SudokuGold

GOLDS = {
    "countdown": [CountdownGold(numbers=(7, 3, 5), target=22)],
    "sudoku": [SudokuGold(puzzle="1200340020004021", solution="1234341221434321")],
    "gsm8k": [Fraction(18), Fraction(-5, 2)],
    "arithmetic": [Fraction(18)],
    "math500": [
        "\\frac{1}{2}",
        "x^2+1",
        "(1,2]",
        "2, 3",
        "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}",
        "\\text{odd}",
        "y=2x",
    ],
}
NEVER = Mock()
Case = tuple[str, GraderName]
GRADE = {
    (task.name, name): grade
    for task in (Countdown, Sudoku, GSM8K, Arithmetic, Math500)
    for name, grade in task.graders.by_name.items()
}
CASES: list[Case] = list(GRADE)
_PIECES = (
    "<answer>¦</answer>¦\\boxed{¦\\boxed ¦{¦}¦<reasoning>¦```¦<|eot_id|>¦####¦$¦\n¦ ¦\\frac¦\\sqrt¦"
    "\\left(¦\\right)¦\\text{¦\\pi¦\\infty¦\\cup¦\\pm¦\\le¦\\sum¦\\int¦\\begin{pmatrix}¦\\end{pmatrix}¦"
    "\\\\¦&¦^¦_¦(¦)¦[¦]¦,¦=¦<¦|¦!¦%¦.¦1¦18¦99999999¦0¦7¦3¦5¦x¦y¦+¦-¦*¦/¦**¦9**9**9¦1234341221434321¦²¦"
    "٣¦__import__('os')¦exit()¦\ud800¦\x00¦e¦1e9¦nan¦inf¦1_000¦½¦million¦ or ¦cm"
)
PIECES = _PIECES.split("¦")
SALAD = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)
ANYTHING = st.text(max_size=200) | SALAD | SALAD.map("<answer>\\boxed{{{}}}</answer>".format)
TAIL = st.lists(st.sampled_from(["<|endoftext|>", "<|eot_id|>", " ", "\n", "\t"]), max_size=6).map("".join)
_LONG = (
    "<|endoftext|>¦ ¦1¦\\boxed{¦\\boxed{1}¦<answer>¦</answer>¦`¦=¦```1¦{¦(¦1+¦^9¦\\frac{1}{¦1,¦1 ¦**¦"
    "\\text{¦a¦or "
)
LONG = _LONG.split("¦")


def check(response: str, tail: str, seconds: dict[Case, list[float]]) -> None:
    for task, grader in CASES:
        gold = GOLDS[task][len(response) % len(GOLDS[task])]
        with patch("builtins.eval", NEVER), patch("builtins.exec", NEVER):
            start = time.thread_time()
            verdict = GRADE[task, grader](gold, response)
            seconds[task, grader].append(time.thread_time() - start)
        assert isinstance(verdict, Verdict)
        assert 0 <= verdict.score <= 1
        assert GRADE[task, grader](gold, response + tail) == verdict
    assert not NEVER.called


def fuzz(strings: int, monkeypatch) -> None:
    seconds: dict[Case, list[float]] = {case: [] for case in CASES}
    asked: list[str] = []
    monkeypatch.setattr(algebra._process, "ask", lambda answers, golds: bool(asked.append(answers)))

    @settings(
        max_examples=strings,
        suppress_health_check=list(HealthCheck),
        deadline=None,
        derandomize=True,
        database=None,
    )
    @given(ANYTHING, TAIL)
    def every_grader(response, tail):
        check(response, tail, seconds)

    every_grader()
    slowest = {case: sorted(taken)[int(0.999 * len(taken))] for case, taken in seconds.items()}
    assert {case: s for case, s in slowest.items() if s >= 0.010} == {}
    assert len(asked) <= 0.05 * strings  # what math-verify is asked takes longer


def test_two_thousand_strings(monkeypatch):
    fuzz(2000, monkeypatch)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_strings(monkeypatch):
    fuzz(100_000, monkeypatch)


@pytest.mark.parametrize("piece", LONG)
@pytest.mark.parametrize("frame", ["{}", "<answer>{}</answer>", "<answer>\\boxed{{{}}}</answer>"])
def test_time_grows_with_length_and_no_faster(piece, frame):
    response = frame.format(piece * (100_000 // len(piece)))
    for task, grader in CASES:
        start = time.thread_time()
        GRADE[task, grader](GOLDS[task][0], response)
        assert time.thread_time() - start < 0.05, (task, grader)


@pytest.mark.parametrize(
    "answer",
    [
        *[
            "9" * 299,
            "(" * 150 + ")" * 150,
            "{" * 150 + "}" * 150,
            "9^{" * 50 + "9" + "}" * 50,
            "60!^{60!}",
            "\\frac" * 50,
        ],
        *[
            "\\sqrt{" * 40 + "2" + "}" * 40,
            "2^{-100}" * 30,
            "((((1+1)^9)^9)^9)^9",
            "9!!!!!!",
            "x" * 300,
            "1," * 150,
        ],
        *[
            "1/" * 100 + "0",
            "\\{" * 50,
            "\\begin{pmatrix}" * 15,
            "-" * 290 + "1",
            "\\pm " * 60 + "1",
            "1" + "\\pm 1" * 40,
        ],
        *[
            "=" * 200,
            "x=" * 100 + "1",
            "x" + "^{x" * 11 + "}" * 11,
            "1,x," * 12 + "1",
            "\\binom{9999999}{5555555}",
            "99999999!",
        ],
    ],
)
def test_nothing_an_answer_asks_for_takes_long(answer):
    """Nor long in the other process, which ends within 2 s of its own processor time."""
    for task, grader in CASES:
        for gold in GOLDS[task]:
            start, wall = time.thread_time(), time.perf_counter()
            GRADE[task, grader](gold, f"<answer>\\boxed{{{answer}}}</answer>")
            assert time.thread_time() - start < 0.05, (task, grader, gold)
            assert time.perf_counter() - wall < 10, (task, grader, gold)
