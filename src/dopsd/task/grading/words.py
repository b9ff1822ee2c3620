"""Numbers in words, and the one number in a sentence that says nothing else about it."""

import re
from fractions import Fraction

from dopsd.task.arithmetic import evaluate
from dopsd.task.grading.latex import UnreadError, tidy

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
).split()
_TENS = dict(zip("twenty thirty forty fifty sixty seventy eighty ninety".split(), range(20, 100, 10), strict=True))
_UNITS = dict(zip(_SMALL, range(20), strict=True)) | _TENS
_MULTIPLES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_NOT_PLAIN = frozenset(
    # other numbers
    [*_UNITS, *_MULTIPLES, *(f"{it}s" for it in _MULTIPLES)]
    + "half halves third thirds quarter quarters fourth fourths fifth fifths tenth tenths dozen dozens score couple".split()
    + "pair pairs double triple twice thrice squared cubed squares cubes factorial root power exponent negative".split()
    + "plus minus times divided multiplied over by mod modulo of remainder multiple multiples base".split()
    # other answers
    + "or and nor neither either both versus vs to through between but if unless except instead rather".split()
    # denial and doubt
    + "not no never none without wrong incorrect false isn aren wasn doesn don cannot can t untrue unknown".split()
    + "maybe perhaps possibly probably guess unsure".split()
    # no exact number
    + "about around approximately approx roughly nearly almost circa under above below than least most up".split()
    + "maximum minimum greater fewer exceeding within estimated".split()
)
_SIGNED_NUMBER = re.compile(
    r"(?<![\w.,+\-^_*/\\])-?\s?\\?\$?-?\d[\d,]*(?:\{,\}\d{3})*(?:\.\d+)?(?:\\?%)?(?![\w^_*+!])"
)
_WORD = re.compile(r"[A-Za-z]{2,}|\b[aA]\b|(?<=[a-z])'s\b")
_PUNCTUATION = re.compile(r"[\s.,:;!]|(?<=[a-z])/(?=[a-z])|(?<=[a-z])-(?=[a-z])|(?<=[a-z])=(?=\s?$)")


def number_in_words(text: str) -> Fraction | None:
    """The value of `five`, `twenty-five`, `5 million`; None for anything else."""
    total, words = Fraction(0), re.sub(r"\\?\$", "", text.lower()).replace("-", " ").split()
    if not words or not all(word in _UNITS or word in _MULTIPLES or re.fullmatch(r"[\d.]+", word) for word in words):
        return None
    if len(words) == 1 and words[0] in _UNITS:
        return Fraction(_UNITS[words[0]])
    if len(words) == 2 and words[0] in _TENS and 0 < _UNITS.get(words[1], 0) < 10:
        return Fraction(_TENS[words[0]] + _UNITS[words[1]])
    if len(words) == 2 and words[1] in _MULTIPLES:
        try:
            total = Fraction(_UNITS[words[0]]) if words[0] in _UNITS else Fraction(words[0])
        except ValueError:
            return None
        return total * _MULTIPLES[words[1]]
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
