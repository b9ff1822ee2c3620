"""Numbers in words, and the one number in a sentence that says nothing else about it."""

import re
from fractions import Fraction

from dopsd.task.arithmetic import evaluate
from dopsd.task.grading.latex import UnreadError, tidy

_NAMES = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety
"""
_SMALL: dict[str, int] = dict(zip(_NAMES.split(), [*range(20), *range(20, 100, 10)], strict=True))
_MULTIPLES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_OTHER_NUMBERS = """
half halves third thirds quarter quarters fourth fourths fifth fifths tenth tenths dozen dozens score couple pair
pairs double triple twice thrice squared cubed squares cubes factorial root power exponent negative plus minus times
divided multiplied over by mod modulo of remainder multiple multiples base hundreds thousands millions billions
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
    """The value of `five`, `twenty-five`, `5 million`; None for anything else."""
    words = re.sub(r"\\?\$", "", text.lower()).replace("-", " ").split()
    if len(words) == 1 and words[0] in _SMALL:
        return Fraction(_SMALL[words[0]])
    if len(words) != 2:
        return None
    first, second = words
    if _SMALL.get(first, 0) >= 20 and 0 < _SMALL.get(second, 0) < 10:
        return Fraction(_SMALL[first] + _SMALL[second])
    if second in _MULTIPLES and (first in _SMALL or re.fullmatch(r"\d{1,15}(?:\.\d{1,15})?", first)):
        return Fraction(_SMALL.get(first, first)) * _MULTIPLES[second]
    return None


def value_among_words(text: str) -> Fraction:
    """The only number in a text of plain words; raises UnreadError where anything could change or deny it."""
    found = _SIGNED_NUMBER.findall(text)
    rest = _SIGNED_NUMBER.sub(" ", text)
    words = {word.lower() for word in _WORD.findall(rest)}
    if len(found) != 1 or words & _NOT_PLAIN or _PUNCTUATION.sub("", _WORD.sub(" ", rest)).strip():
        raise UnreadError("not one number among plain words")
    try:
        return evaluate(tidy(re.sub(r"[\\$%]", "", found[0].strip().rstrip(",")))).value
    except ValueError as error:
        raise UnreadError("no number") from error
