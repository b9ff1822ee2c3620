"""Run as a script: reads [answer, gold] lines, writes true, false or null (gave up), until its input ends."""

import json
import logging
import signal
import sys
from typing import Any

BUDGET_S = 2.0  # of processor time for one question


class OutOfTimeError(BaseException):
    """The budget is used up; no `except Exception` on the way holds it back."""


def main() -> None:
    """Answer one question a line."""
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGVTALRM, _give_up)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's; it ends our input
    for line in sys.stdin:
        answer, gold = json.loads(line)
        sys.stdout.write(json.dumps(_within_budget(answer, gold)) + "\n")
        sys.stdout.flush()


def _within_budget(answer: str, gold: str) -> bool | None:
    from math_verify import verify  # noqa: PLC0415 (slow to import, and only this process needs it)

    try:
        # the interval: what swallows the first alarm meets the next
        signal.setitimer(signal.ITIMER_VIRTUAL, BUDGET_S, 0.1)
        return bool(verify(_parsed(gold), _parsed(answer), timeout_seconds=None, float_rounding=9))
    except OutOfTimeError:
        return None
    except Exception:
        return False
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _parsed(latex: str) -> list:
    """Read as LaTeX alone: math-verify's reader of plain expressions goes through Python's own."""
    from math_verify import LatexExtractionConfig, parse  # noqa: PLC0415

    no_alarm: Any = None  # the budget is ours
    config = [LatexExtractionConfig()]
    return parse(f"${latex}$", config, fallback_mode="no_fallback", parsing_timeout=no_alarm)


def _give_up(*_: object) -> None:
    raise OutOfTimeError


if __name__ == "__main__":
    main()
