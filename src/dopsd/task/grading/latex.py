"""A tidy answer: LaTeX with one spelling for each thing; what is unclear is refused, nothing is cut."""

import re
from fractions import Fraction

from dopsd.task.grading.calculation import infix_fractions
from dopsd.task.grading.wrapping import BLANK, STYLE, unwrapped

MAX_LENGTH = 300  # characters


class UnreadError(ValueError):
    """An answer that does not say one thing clearly: it is right only where the gold is spelt the same."""


_SPACE = re.compile(rf"{BLANK}+|(?<=.)~")
_SYNONYM = re.compile(r"\\[dtc](?=frac|binom)|\\[a-z]+(?![a-zA-Z])")
_SYNONYMS = {
    **dict.fromkeys(("\\leqslant", "\\leq"), "\\le"),
    **dict.fromkeys(("\\geqslant", "\\geq"), "\\ge"),
    **dict.fromkeys(("\\times", "\\cdotp"), "\\cdot"),
    **dict.fromkeys(("\\lparen", "\\langle"), "("),
    **dict.fromkeys(("\\rparen", "\\rangle"), ")"),
    **dict.fromkeys(("\\lvert", "\\rvert", "\\vert"), "|"),
    **dict.fromkeys(("\\d", "\\t", "\\c"), "\\"),
    **dict.fromkeys(("\\dots", "\\cdots", "\\dotsc"), "\\ldots"),
    **dict.fromkeys(("\\land", "\\wedge"), ","),
    **dict.fromkeys(("\\reals", "\\Reals"), "\\R"),
    **{"\\neq": "\\ne", "\\div": "/", "\\lbrace": "\\{", "\\rbrace": "\\}", "\\lt": "<", "\\gt": ">"},
    **{
        "\\varnothing": "\\emptyset",
        "\\colon": ":",
        "\\imath": "i",
        "\\vee": "\\lor",
        "\\backslash": "\\setminus",
    },
    **{"\\bigcup": "\\cup"},
}
_GROUPED = re.compile(
    r"(?<![\d.,])([1-9]\d{0,2})(\{,\}|\\[,;: ]|~| |,)(\d{3}(?:\2\d{3})*)(?![\d,]|\.\d*\.|\s*/)"
)
_DOTTED = re.compile(r"(?<![\d.,])([1-9]\d{0,2})((?:\.\d{3}){2,})(?![\d.,])")
_REPEATING = re.compile(
    r"(?<![\d.])(\d*)\.(\d*?)(?:\\overline\s*\{(\d+)\}|\((\d+)\)|\\(?:bar|dot)\s*\{?(\d)\}?+"
    r"|\\dot\s*\{?(\d)\}?+(\d*)\\dot\s*\{?(\d)\}?+|(?:(\d)\9{2,}|(\d\d+?)\10+)(?:\\ldots|\.\.\.))(?![\d(]|\\dot)"
)
_SCIENTIFIC = re.compile(r"(?<![\d.a-zA-Z\\])(\d+(?:\.\d+)?)[eE]([+-]?\d{1,2})(?![\d.a-zA-Z])")
_TEN = re.compile(  # not behind / or a product, of which the number in front could be a part
    r"((?:^|[-+(=,;{\[<>])\s*)(?:(\d*\.?\d+)\s*\\cdot\s*)?10\s*\^\s*(?:\{\s*([+-]?\d\d?)\s*\}|(-?\d))(?!\s*[\d^!])"
)
_PLAIN_POWER = re.compile(r"(-?(?:[a-zA-Z]|\d+))\^(\d{2,})")
_ROW_GAP = re.compile(r"(\\\\)\s*\[-?[\d.]+\s*[a-z]{2}\]")
_ALL_REALS = re.compile(r"(?:all |the )*real(?:s| numbers)", re.IGNORECASE)
_LONE_LETTER = re.compile(r"(?<![a-zA-Z_^}\])])\{([a-zA-Z])\}(?=\s*\^)")
_NOT = re.compile(r"\\(?:not|neg|lnot)(?![a-zA-Z])")
_TO = re.compile(r"(?<=\d)\s*(?:\\text\s*\{\s*to\s*\}|\bto\b)\s*(?=\d)")
_MIXED = re.compile(
    r"(?<![\d.^_}a-zA-Z)])(\d+)(?:\s*\\frac\s*(?:\{(\d+)\}|(\d))\s*(?:\{(\d+)\}|(\d))|\s+(\d+)\s*/\s*(\d+))(?!\d)"
)
_REALS_WITHOUT = re.compile(r"\\R\s*(?:-|\\setminus|\\backslash)\s*\\?\{")
_NAMED = re.compile(
    r"(?<![a-zA-Z\\])(sqrt|pi|infinity|infty|inf|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|log|ln|exp"
    r"|theta|alpha|beta)(?![a-zA-Z])"
)
_CONNECTIVE = re.compile(
    r",?\s*(?:\\(?:text|mbox|mathrm|textrm)\s*\{[\s,]*(?:and|or)\s*\}|\\lor(?![a-zA-Z])|(?<![a-zA-Z\\])(?:and|or)(?![a-zA-Z]))"
)
_TEXT = re.compile(rf"\\(?:{STYLE})\s*\{{([^{{}}]*)\}}")
FUNCTIONS = {
    *("\\sin", "\\cos", "\\tan", "\\cot", "\\sec", "\\csc", "\\arcsin", "\\arccos", "\\arctan", "\\sinh"),
    *("\\cosh", "\\tanh", "\\log", "\\ln", "\\exp", "\\gcd", "\\lcm", "\\max", "\\min"),
}


def without_style(text: str) -> str:
    """The text with what stands in styles and without them."""
    return _SPACE.sub(" ", _TEXT.sub(r" \1 ", text.replace("\\$", "$")))


def spelling(text: str) -> str:
    """The text without spaces that mean nothing: equal where only the typing differs."""
    text = _SYNONYM.sub(lambda found: _SYNONYMS.get(found[0], found[0]), unwrapped(text))
    text = re.sub(r"\\(?:textbf|textrm|mbox|mathrm)(?![a-zA-Z])", r"\\text", text)
    text = re.sub(r"(?<=\d),\s*\\!\s*(?=\d)", "{,}", text).replace("\\!", "").replace("...", "\\ldots ")
    return re.sub(r"(?<![\w\s])\s+|\s+(?![\w\s])", "", _SPACE.sub(" ", text)).strip()


def tidy(text: str, *, commas: bool = True) -> str:
    """Numbers in one form, names as commands, connectives as commas; `commas` may group thousands.

    Raises UnreadError for words that are no mathematics and for what could be two things.
    """
    text = _SYNONYM.sub(lambda found: _SYNONYMS.get(found[0], found[0]), text)
    text = text.replace("\\mathbb{R}", "\\R ").replace("\\mathbb R", "\\R ").replace("\\$", "$")
    text = _REALS_WITHOUT.sub(r"\\R \\setminus \\{", re.sub(r",\s*\\!\s*", "{,}", text))
    text = text.replace("<=", "\\le ").replace(">=", "\\ge ").replace("\\{\\}", "\\emptyset ")
    text = "\\R" if _ALL_REALS.fullmatch(text) else _ROW_GAP.sub(r"\1", infix_fractions(text))
    text = re.sub(r"\\begin\s*\{array\}\s*\{[lcr|\s]*\}", r"\\begin{matrix}", text).replace(
        "{array}", "{matrix}"
    )
    if _NOT.search(text):
        raise UnreadError("a negation")
    text = re.sub(r"(?<=\d)\s*x\s*(?=10\s*\^)", "\\\\cdot ", text)
    text = _LONE_LETTER.sub(r"\1", _TO.sub(":", text))
    if power := _PLAIN_POWER.fullmatch(text):  # all of the answer: what people mean, though not what TeX sets
        text = f"{power[1]}^{{{power[2]}}}"
    grouped = commas and not re.search(r"[(\[{]", text.replace("{,}", ""))
    text = _GROUPED.sub(
        lambda it: it[0] if it[2] == "," and not grouped else it[1] + it[3].replace(it[2], ""), text
    )
    text = _DOTTED.sub(lambda it: it[1] + it[2].replace(".", ""), text)
    if "{,}" in text:
        raise UnreadError("a comma that groups no thousands")
    if text.lstrip().startswith("~") or re.search(r"(?<![\d.])0\d", text):
        raise UnreadError("an approximation, or a zero in front")
    text = _CONNECTIVE.sub(lambda it: " \\lor " if "or" in it[0] else " , ", text)
    text = _TEXT.sub(_mathematics, text)
    text = _SPACE.sub(" ", text.replace("\\\\", "\\cr ")).replace("**", "^")
    text = _REPEATING.sub(_repeating, text)
    text = _SCIENTIFIC.sub(lambda it: written(Fraction(it[1]) * Fraction(10) ** int(it[2])), text)
    text = _MIXED.sub(_mixed, text).replace("*", "\\cdot ")
    text = _TEN.sub(
        lambda it: it[1] + written(Fraction(it[2] or 1) * Fraction(10) ** int(it[3] or it[4])), text
    )
    return _NAMED.sub(lambda it: "\\infty " if it[1].startswith("inf") else f"\\{it[1]} ", text)


def written(value: Fraction) -> str:
    """A number as LaTeX."""
    return (
        str(value.numerator)
        if value.denominator == 1
        else f"\\frac{{{value.numerator}}}{{{value.denominator}}}"
    )


def _mathematics(found: re.Match[str]) -> str:
    content = found[1].strip()
    if re.fullmatch(r"[a-zA-Z]|[\d.,]+|[^a-zA-Z]*", content):
        return f" {content} "
    if f"\\{content}" in FUNCTIONS:
        return f"\\{content} "
    raise UnreadError(f"the words {content!r}")


def _repeating(found: re.Match[str]) -> str:
    whole, start, *periods = found.groups()
    period = "".join(filter(None, periods))
    shift = 10 ** len(start)
    return written(
        Fraction(int(whole + start or "0"), shift) + Fraction(int(period), shift * (10 ** len(period) - 1))
    )


def _mixed(found: re.Match[str]) -> str:
    whole, above, below = found[1], found[2] or found[3] or found[6], found[4] or found[5] or found[7]
    if not 0 < int(above) < int(below) or whole.startswith("0"):
        raise UnreadError("a number beside a fraction that is no mixed number")
    return written(int(whole) + Fraction(int(above), int(below)))
