"""Run as a script: reads [answers, golds] lines, writes true, false or null (gave up), until its input ends.

LaTeX is read by math-verify's reader; two expressions are equal where they have the same letters and the same value,
to fifty digits, whatever numbers stand for the letters.
"""

import json
import re
import signal
import sys
from fractions import Fraction
from functools import lru_cache
from math import prod
from typing import Any, cast

from latex2sympy2_extended import latex2sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig
from sympy import I, Rational, Symbol, factorrat, oo, postorder_traversal
from sympy.core.alphabets import greeks
from sympy.core.function import AppliedUndef

_CONFIG = ConversionConfig(interpret_as_mixed_fractions=False, lowercase_symbols=False)
BUDGET_S = 1.0  # of processor time for one question
_LAST_S = 1.7  # after which the system ends the process, whatever it is at
_DIGITS = 50  # that two values must share
_HUGE = 6000  # digits before or behind the point from which on a value, or a part of it, is compared by its spelling
_POOL = "xyzabckmnpqrstuvw"  # letters without a meaning of their own to the reader
_NAME = re.compile(r"(\\?[a-zA-Z]+)( _ \{ \w+ \})?")
_KNOWN = (
    "frac sqrt binom cdot pi infty sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp lfloor"
    " rfloor lceil rceil gcd lcm max min"
)
_DECIMAL = re.compile(r"(\d*)\.(\d+)")
_COMMANDS = {f"\\{name}" for name in _KNOWN.split()}
_LETTERS = {f"\\{name}" for letter in greeks for name in (letter, letter.title(), f"var{letter}")}
_PLAIN = re.compile(r"(?:[\d\s+\-/^{}()|!.\[\]]|\\log(?: _)?)*")
_UNDEFINED = re.compile(r"(?<!\\)\b[fgh] \(")
_POINTS = (  # what letters stand for, over 61: no two are in the same order, or as far apart, at all points
    tuple(137 + 10 * i * i + 7 * i for i in range(len(_POOL))),
    tuple(211 + 4 * (17 - i) ** 2 for i in range(len(_POOL))),
    tuple(-173 - 6 * i * i - 7 * i for i in range(len(_POOL))),  # only where the sign of a letter matters
)
_PRACTICE = (  # the reader learns as it reads: what it has met once takes a third of the time
    "- \\frac { 2 a - 1 } { 3 } ( b + 2 ) ^ { 2 } + y x / 2 + x ^ { 5 } + 3 x - 1",
    "\\sin ( x ) \\cdot 4 / \\log _ { 2 } ( 3 ) + 2 \\pi e ^ { 2 x } + 0.6 - | x |",
    "3 ! - ( 3 + 3 \\sqrt [ 3 ] { 5 } ) i",
)


class OutOfTimeError(BaseException):
    """The budget is used up; no `except Exception` on the way holds it back."""


def main() -> None:
    """Answer one question a line."""
    signal.signal(signal.SIGVTALRM, _give_up)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's; it ends our input
    for text in _PRACTICE:
        _read(text, _letters(text) or ())
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
    kinds = {answer[0], gold[0]}
    if kinds <= {"named", "equation"} and answer[:2] != gold[:2]:
        sides = ([["value", it[1]], it[2]] if it[0] == "named" else it[2:] for it in (answer, gold))
        return _proportional(*sides, least=len(kinds))
    if "named" in kinds and "equation" not in kinds:
        return _same(*(it[2] if it[0] == "named" else it for it in (answer, gold)))
    return len(kinds) == 1 and len(answer) == len(gold) and _same_parts(answer[0], answer[1:], gold[1:])


def _same_parts(kind: str, answer: list, gold: list) -> bool:
    match kind:
        case "value":
            return equal(answer[0], gold[0])
        case "equation" | "relation":
            return answer[0] == gold[0] and _proportional(answer[1:], gold[1:], positive=answer[0] != "=")
        case "list":
            return _same_in_any_order(answer, gold)
        case "tuple":
            return answer[:2] == gold[:2] and all(map(_same, answer[2:], gold[2:]))
    return False


def _settled(statement: list) -> list:
    """A value before its own rounding, the last of equal sides, an equation of two with letters; else untrue."""
    if statement[0] == "rounded":
        return statement[1] if _rounds_to(statement[1], statement[2].replace(" ", "")) else ["untrue"]
    if statement[0] != "chain":
        return statement
    first, *others = statement[1:]
    if all(_same(first, other) for other in others):
        return others[-1] if others else first
    is_equation = len(others) == 1 and first[0] == others[0][0] == "value"
    return ["equation", "=", first, others[0]] if is_equation else ["untrue"]


def _rounds_to(exact: list, rounded: str) -> bool:
    if exact[0] != "value" or _letters(exact[1]) != () or not (value := _value(exact[1], (), _POINTS[0])):
        return False
    half = Fraction(1, 2 * 10 ** len(rounded.partition(".")[2]))
    return bool(value[0].is_real and abs(value[0] - Fraction(rounded)) <= half)


def _same_in_any_order(answers: list, golds: list) -> bool:
    left = list(golds)  # of a union the first is "cup"
    for answer in answers:
        found = next((i for i, gold in enumerate(left) if answer == gold or _same(answer, gold)), None)
        if found is None:
            return False
        left.pop(found)
    return not left


def _proportional(answer: list, gold: list, *, positive: bool = False, least: int = 1) -> bool:
    """Whether left - right of the one is a constant times that of the other, and has at least some letters."""
    if any(side[0] != "value" for side in (*answer, *gold)):
        return False
    one, other = (f"( {left[1]} ) - ( {right[1]} )" for left, right in (answer, gold))
    letters = _letters(one)
    if letters is None or len(letters) < least or letters != _letters(other):
        return False
    pairs = [(_value(one, letters, point), _value(other, letters, point)) for point in _POINTS]
    if not all(pair[0] and pair[1] and pair[0][0] and pair[1][0] for pair in pairs):
        return False
    ratios = [(of_one[0] / of_other[0], of_one[1] + of_other[1]) for of_one, of_other in pairs]
    return all(_close(ratios[0], ratio) for ratio in ratios) and (not positive or bool(ratios[0][0] > 0))


def equal(answer: str, gold: str) -> bool:
    """Whether two expressions have the same letters and the same value wherever they are looked at."""
    letters = _letters(answer)
    if answer == gold or letters is None or letters != _letters(gold):
        return answer == gold
    points = _POINTS if "|" in answer + gold else _POINTS[: 2 if letters else 1]
    for point in points:
        one, other = _value(answer, letters, point), _value(gold, letters, point)
        if not (one and other):
            powers = None if letters or one or other else _powers(_read(answer, ()))
            return powers is not None and powers == _powers(_read(gold, ()))
        if not _close(one, other):
            return False
    return True


def _powers(number: Any) -> dict[int, int] | None:
    """Primes and their exponents; None for what is no product of powers of numbers of a moderate size."""
    if number is None or number == 0 or (number.is_Rational and max(abs(number.p), number.q) > 10**15):
        return None
    if number.is_Rational:
        return dict(factorrat(number))  # pyright: ignore[reportArgumentType, reportCallIssue, reportReturnType]
    if number.is_Pow:
        powers, exponent = _powers(number.base), _integer(number.exp)
        parts = [] if powers is None or exponent is None else [{it: n * exponent for it, n in powers.items()}]
    else:
        parts = [_powers(it) for it in number.args] if number.is_Mul else []
    known = [part for part in parts if part is not None]
    if not parts or len(known) < len(parts):
        return None
    found = {it: sum(part.get(it, 0) for part in known) for part in known for it in part}
    return {it: n % 2 if it == -1 else n for it, n in found.items() if n % 2 or (it != -1 and n)}


def _integer(exponent: Any) -> int | None:
    powers = {} if exponent == 1 else _powers(exponent)
    if powers is None or any(n < 0 or n * it.bit_length() > _HUGE for it, n in powers.items()):
        return None
    return prod(it**n for it, n in powers.items())


def _letters(text: str) -> tuple[str, ...] | None:
    """What stands for numbers in an expression; None where there is anything that is not known."""
    signs = _NAME.sub(lambda found: "\\log" if found[1] == "\\log" else "", text)
    names = {it[1] + (it[2] or "") for it in _NAME.finditer(text) if it[1] not in _COMMANDS} - {"e", "i"}
    known = all(name.partition(" ")[0] in _LETTERS or name[0] != "\\" for name in names)
    if not known or len(names) > len(_POOL) or not _PLAIN.fullmatch(signs) or _UNDEFINED.search(text):
        return None
    return tuple(sorted(names))


@lru_cache(maxsize=256)
def _read(text: str, letters: tuple[str, ...]) -> Any:
    """The expression in sympy, each letter as one of the pool; None where it has functions that nobody defined."""
    pool = dict(zip(letters, _POOL, strict=False))
    text = _NAME.sub(lambda found: pool.get(found[0], pool.get(found[1], found[1]) + (found[2] or "")), text)
    text = _DECIMAL.sub(lambda it: f"( \\frac {{ {it[1]}{it[2]} }} {{ {10 ** len(it[2])} }} )", text)
    expression: Any = latex2sympy(text, normalization_config=None, conversion_config=_CONFIG)
    unknown = {str(it) for it in expression.free_symbols} - {"i", *pool.values()}
    return None if unknown or expression.has(AppliedUndef) else expression.xreplace({Symbol("i"): I})


@lru_cache(maxsize=256)
def _value(text: str, letters: tuple[str, ...], point: tuple[int, ...]) -> Any:
    """The value where letters stand for a point, and the digits of its largest part; None without one."""
    expression = _read(text, letters)
    if expression is None or expression in (oo, -oo):
        return None if expression is None else (expression, 0)
    at = {Symbol(_POOL[i]): Rational(point[i], 61) for i in range(len(letters))}
    most = 0
    for part in cast(Any, postorder_traversal(expression)):
        size = abs(part.evalf(15, subs=at))
        if not size.is_Number or not size.is_finite:
            return None
        most = max(most, _digits(size))
        if most > _HUGE:
            return None
    return expression.evalf(_DIGITS + 20 + 2 * most, subs=at), most


def _digits(size: Any) -> int:
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
