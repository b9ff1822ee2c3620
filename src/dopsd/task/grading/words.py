"""Numbers in words, and the one number in a sentence that says nothing else about it."""

import re
from fractions import Fraction

from dopsd.task.grading.calculation import evaluate
from dopsd.task.grading.latex import UnreadError, tidy, without_style

_NAMES = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety
"""
_SMALL: dict[str, int] = dict(zip(_NAMES.split(), [*range(20), *range(20, 100, 10)], strict=True))
_MULTIPLES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_ONE, _MANY = "|".join(_SMALL), "|".join(_MULTIPLES)
_WORDED = re.compile(
    rf"(?<![\w.,/])(?<!\w-)(?:\d{{1,15}}(?:\.\d{{1,15}})?\s+(?:{_MANY})|{_ONE})"
    rf"(?:(?:\s+and)?[\s-]+(?:{_ONE}|{_MANY}))*(?![\w-])",
    re.IGNORECASE,
)
_OTHER_NUMBERS = """
half halves third thirds quarter quarters fourth fourths fifth fifths tenth tenths dozen dozens score couple pair
pairs double triple twice thrice squared cubed squares cubes factorial root power exponent negative plus minus times
divided multiplied over by mod modulo of remainder multiple multiples base hundreds thousands millions billions
sixth sixths seventh sevenths eighth eighths ninth ninths eleventh elevenths twelfth twelfths twentieth twentieths
hundredth hundredths thousandth thousandths millionth millionths
"""
_OTHER_ANSWERS = """
or and nor neither either both versus vs to through between but if unless except instead rather not no never none
without wrong incorrect false isn aren wasn doesn don cannot can t untrue unknown maybe perhaps possibly probably
guess unsure about around approximately approx roughly nearly almost circa under above below than least most up
maximum minimum greater fewer exceeding within estimated too high low error mistake impossible unlikely invalid doubt
doubtful hardly barely somewhat approximate rounded otherwise except unlike opposite reciprocal inverse
"""
_NOT_PLAIN = {*_SMALL, *_MULTIPLES, *_OTHER_NUMBERS.split(), *_OTHER_ANSWERS.split()}
_SIGNED_NUMBER = re.compile(
    r"(?<![\w.,+\-^_*/\\])-?\s?\\?\$?-?\d[\d,]*(?:\{,\}\d{3})*(?:\.\d+)?(?:\\?%)?(?![\w^_*+!])"
)
_WORD = re.compile(r"[A-Za-z]{2,}|\b[aA]\b|(?<=[a-z])'s\b")
_PUNCTUATION = re.compile(r"[\s.,:;!]|(?<=[a-z])/(?=[a-z])|(?<=[a-z])-(?=[a-z])|(?<=[a-z])=(?=\s?$)")


def number_in_words(text: str) -> Fraction | None:
    """The value of `five`, `one hundred and five`, `2.5 million`; None for anything else."""
    text = re.sub(r"\\?\$", "", without_style(text)).strip()
    return _worth(text) if _WORDED.fullmatch(text) else None


def _worth(words: str) -> Fraction | None:
    """What words that follow each other are worth as one number."""
    total, current, least = Fraction(0), None, 10**15
    for word in re.split(r"[\s-]+", words.lower()):
        factor, value = _MULTIPLES.get(word), _SMALL.get(word)
        if factor == 100 and current is not None and 0 < current < 100:
            current *= factor
        elif factor is not None and factor > 100 and current is not None and factor < least:
            total, current, least = total + current * factor, None, factor
        elif word == "and" and (current is None or current % 100 == 0):
            pass
        elif factor is None and current is None:
            current = Fraction(word if value is None else value)
        elif (
            value
            and current
            and (current % 100 == 0 or (current % 100 >= 20 and current % 10 == 0 and value < 10))
        ):
            current += value
        else:
            return None
    return total + (current or 0)


def _in_digits(found: re.Match[str]) -> str:
    value = _worth(found[0])
    return found[0] if value is None or value.denominator > 1 else str(value)


def value_among_words(text: str) -> Fraction:
    """The only number in a text of plain words; raises UnreadError where anything could change or deny it."""
    text = _WORDED.sub(_in_digits, text)
    found = _SIGNED_NUMBER.findall(text)
    rest = _SIGNED_NUMBER.sub(" ", text)
    words = {word.lower() for word in _WORD.findall(rest)}
    if len(found) != 1 or words & _NOT_PLAIN or _PUNCTUATION.sub("", _WORD.sub(" ", rest)).strip():
        raise UnreadError("not one number among plain words")
    try:
        return evaluate(tidy(re.sub(r"[\\$%]", "", found[0].strip().rstrip(",")))).value
    except ValueError as error:
        raise UnreadError("no number") from error
