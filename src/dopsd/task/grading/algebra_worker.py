"""Run as a script: reads [answers, golds] lines, writes true, false or null (gave up), until its input ends.

LaTeX is read by math-verify's reader; two expressions are equal where they have the same letters and the same value,
to hundreds of digits, whatever numbers stand for the letters.
"""

import json
import logging
import re
import signal
import sys
from functools import lru_cache

BUDGET_S = 1.0  # of processor time for one question
_LAST_S = 1.7  # after which the system ends the process, whatever it is at
_DIGITS = 50  # that two values must share
_HUGE = 6000  # digits before or behind the point from which on a value, or a part of it, is compared by its spelling
_POOL = "xyzabckmnpqrstuvw"  # letters without a meaning of their own to the reader
_NAME = re.compile(r"(\\?[a-zA-Z]+)( _ \{ \w+ \})?")
_KNOWN = frozenset(
    "\\" + name
    for name in (
        "frac sqrt binom cdot pi infty sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp"
        " lfloor rfloor lceil rceil gcd lcm max min"
    ).split()
)
_DECIMAL = re.compile(r"(\d*)\.(\d+)")
_GREEK = frozenset(
    "\\" + name
    for name in (
        "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta kappa lambda mu nu xi rho sigma tau phi"
        " varphi chi psi omega Delta Gamma Lambda Omega Phi Pi Psi Sigma Theta"
    ).split()
)
_PLAIN = re.compile(r"(?:[\d\s+\-/^{}()|!.\[\]]|\\log _)*")
_UNDEFINED = re.compile(r"(?<!\\)\b[fgh] \(")
_POINTS = (137, 211, -173)  # the last only where the sign of a letter matters


class OutOfTimeError(BaseException):
    """The budget is used up; no `except Exception` on the way holds it back."""


def main() -> None:
    """Answer one question a line."""
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGVTALRM, _give_up)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's; it ends our input
    import latex2sympy2_extended  # noqa: F401, PLC0415 (slow: not on the budget of the first question)

    for line in sys.stdin:
        answers, golds = json.loads(line)
        sys.stdout.write(json.dumps(_within_budget(answers, golds)) + "\n")
        sys.stdout.flush()


def _within_budget(answers: list, golds: list) -> bool | None:
    try:
        # the interval: what swallows the first alarm meets the next
        signal.setitimer(signal.ITIMER_VIRTUAL, BUDGET_S, 0.1)
        signal.setitimer(signal.ITIMER_PROF, _LAST_S)
        return any(_same(answer, gold) for answer in answers for gold in golds)
    except OutOfTimeError:
        return None
    except Exception:
        return False
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)


def _same(answer: list, gold: list) -> bool:
    """Whether two statements agree: lists in any order, `x = 5` with 5, equations up to a factor."""
    answer, gold = _settled(answer), _settled(gold)
    if {answer[0], gold[0]} <= {"named", "equation"} and answer[:2] != gold[:2]:
        return _proportional(_sides(answer), _sides(gold), signed=False)
    if "named" in (answer[0], gold[0]) and "equation" not in (answer[0], gold[0]):
        if answer[0] == gold[0] and answer[1] != gold[1]:
            return False
        return _same(*(it[2] if it[0] == "named" else it for it in (answer, gold)))
    if answer[0] != gold[0] or len(answer) != len(gold):
        return False
    if answer[0] == "value":
        return equal(answer[1], gold[1])
    if answer[0] in ("equation", "relation"):
        return answer[1] == gold[1] and _proportional(answer[2:], gold[2:], signed=answer[0] == "relation")
    if answer[0] == "list":
        return _same_in_any_order(answer[1:], gold[1:])
    return answer[0] == "tuple" and answer[1:3] == gold[1:3] and all(map(_same, answer[3:], gold[3:]))


def _settled(statement: list) -> list:
    """A chain of equal sides as its last, one of two sides with letters as an equation, any other as untrue."""
    if statement[0] != "chain":
        return statement
    first, *others = statement[1:]
    if all(_same(first, other) for other in others):
        return others[-1] if others else first
    values = len(others) == 1 and first[0] == others[0][0] == "value"
    return ["equation", "=", first, others[0]] if values and _letters(first[1] + " " + others[0][1]) else ["untrue"]


def _sides(statement: list) -> list:
    return statement[2:] if statement[0] == "equation" else [["value", statement[1]], statement[2]]


def _same_in_any_order(answers: list, golds: list) -> bool:
    left = list(golds)
    for answer in answers:
        found = next((i for i, gold in enumerate(left) if answer == gold), None)
        if found is None:
            found = next((i for i, gold in enumerate(left) if _is_same(answer, gold)), None)
        if found is None:
            return False
        left.pop(found)
    return not left


def _is_same(answer: list | str, gold: list | str) -> bool:
    return answer == gold if isinstance(answer, str) or isinstance(gold, str) else _same(answer, gold)


def _proportional(answer: list, gold: list, *, signed: bool) -> bool:
    """Whether left - right of the one is a constant times that of the other, where `signed` a positive one."""
    if any(side[0] != "value" for side in (*answer, *gold)):
        return False
    texts = [f"( {left[1]} ) - ( {right[1]} )" for left, right in (answer, gold)]
    letters = _letters(texts[0])
    if letters is None or letters != _letters(texts[1]):
        return False
    ratios = []
    for point in _POINTS:
        values = [_value(text, letters, point) for text in texts]
        if values[0] is None or values[1] is None or not (values[0][0] and values[1][0]):
            return False
        ratios.append((values[0][0] / values[1][0], values[0][1] + values[1][1]))
    positive = not signed or bool(ratios[0][0].is_positive)
    return positive and all(_close(ratios[0], ratio) for ratio in ratios[1:])


def equal(answer: str, gold: str) -> bool:
    """Whether two expressions have the same letters and the same value wherever they are looked at."""
    if answer == gold:
        return True
    letters = _letters(answer)
    if letters is None or letters != _letters(gold):
        return False
    sign_matters = letters and "|" in answer + gold
    points = _POINTS if sign_matters else _POINTS[:2] if letters else _POINTS[:1]
    for point in points:
        one, other = _value(answer, letters, point), _value(gold, letters, point)
        if one is None or other is None or not _close(one, other):
            return False
    return True


def _letters(text: str) -> tuple[str, ...] | None:
    """What stands for numbers in an expression; None where there is anything that is not known."""
    if not _PLAIN.fullmatch(_NAME.sub(lambda found: "" if found[1] != "\\log" else "\\log _", text).replace("\\log _ _", "\\log _")):
        return None
    if _UNDEFINED.search(text):
        return None
    names = {found[1] + (found[2] or "") for found in _NAME.finditer(text) if found[1] not in _KNOWN}
    names -= {"e", "i"}
    known = all(name.partition(" ")[0] in _GREEK or name[0] != "\\" for name in names)
    return tuple(sorted(names)) if known and len(names) <= len(_POOL) else None


@lru_cache(maxsize=256)
def _read(text: str, letters: tuple[str, ...]):
    """The expression in sympy, each letter as one of the pool; None where it has functions that nobody defined."""
    from latex2sympy2_extended import latex2sympy  # noqa: PLC0415
    from latex2sympy2_extended.latex2sympy2 import ConversionConfig  # noqa: PLC0415
    from sympy import I, Symbol  # noqa: PLC0415
    from sympy.core.function import AppliedUndef  # noqa: PLC0415

    pool = dict(zip(letters, _POOL, strict=False))
    text = _NAME.sub(lambda found: pool.get(found[0], pool.get(found[1], found[1]) + (found[2] or "")), text)
    text = _DECIMAL.sub(lambda it: f"( \\frac {{ {it[1]}{it[2]} }} {{ {10 ** len(it[2])} }} )", text)
    config = ConversionConfig(interpret_as_mixed_fractions=False, lowercase_symbols=False)
    expression = latex2sympy(text, normalization_config=None, conversion_config=config)
    if expression.has(AppliedUndef) or {str(it) for it in expression.free_symbols} - {"i"} - set(pool.values()):
        return None
    return expression.xreplace({Symbol("i"): I})


@lru_cache(maxsize=256)
def _value(text: str, letters: tuple[str, ...], point: int):
    """The value where the letters are numbers near `point`/60, with the digits of its largest part; None without one."""
    from sympy import Rational, Symbol, oo, postorder_traversal  # noqa: PLC0415

    expression = _read(text, letters)
    if expression is None:
        return None
    if expression in (oo, -oo):
        return expression, 0
    at = {Symbol(_POOL[i]): Rational(point + 13 * i * i + 7 * i, 61) for i in range(len(letters))}
    most = 0
    for part in postorder_traversal(expression):
        size = abs(part.evalf(15, subs=at))
        if not size.is_Number or not size.is_finite:
            return None
        most = max(most, _digits(size))
        if most > _HUGE:
            return None
    return expression.evalf(_DIGITS + 20 + 2 * most, subs=at), most


def _digits(size) -> int:
    """How far a positive number is from 1, in digits before or behind the point."""
    if size.is_Rational:
        return len(str(max(size.p, size.q))) - 1
    return int(abs(size._mpf_[2] + size._mpf_[3]) * 0.30103) if size != 0 else 0


def _close(one: tuple, other: tuple) -> bool:
    if not (one[0].is_finite and other[0].is_finite):
        return one[0] == other[0]
    size = max(abs(one[0]), abs(other[0]))
    return bool(abs(one[0] - other[0]) <= size * 10 ** -(_DIGITS + max(one[1], other[1])))


def _give_up(*_: object) -> None:
    raise OutOfTimeError


if __name__ == "__main__":
    main()
