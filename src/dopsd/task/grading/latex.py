"""An answer as LaTeX in one spelling; nothing is cut here but ornaments, and what is unclear is refused."""

import re
import unicodedata
from fractions import Fraction

MAX_LENGTH = 300  # characters


class UnreadError(ValueError):
    """An answer that does not say one thing clearly: it is right only where the gold is spelt the same."""


_SYMBOLS = {
    **dict.fromkeys("−–—‐‑", "-"),
    **dict.fromkeys("×·⋅∙∗", "\\cdot "),
    **{"÷": "/", "⁄": "/", "∕": "/", "≤": "\\le ", "⩽": "\\le ", "≥": "\\ge ", "⩾": "\\ge ", "≠": "\\ne "},
    **{"∞": "\\infty ", "∪": "\\cup ", "∈": "\\in ", "±": "\\pm ", "∅": "\\emptyset ", "°": "^{\\circ}"},
    **{"ℝ": "\\mathbb{R}", "∖": "\\setminus ", "⟨": "\\langle ", "⟩": "\\rangle ", "∶": ":", "′": "'"},
    **{"≈": "\\approx ", "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u2212": "-"},
}
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ]+")
_LOWERED = re.compile("[₀₁₂₃₄₅₆₇₈₉₊₋ₙ]+")
_PAIRS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("`", "`"))
_STYLE = r"text(?:bf|it|rm|normal|sf|tt)?|math(?:rm|bf|it|sf|normal)|boldsymbol|bm|mbox|boxed|fbox|emph|operatorname"
_STYLED = re.compile(rf"(?:\\(?:{_STYLE})\s*|boxed)?(?=\{{)")
_LAST_STOP = re.compile(r"(?<=[^.,\\\s])\s*[.,]$")
_ORNAMENT = re.compile(
    r"\\(?:left|right|middle|[bB]igg?[lrm]?|displaystyle|textstyle|limits|nolimits|qquad|quad)(?![a-zA-Z])"
)
_SPACE = re.compile(r"\\[ ,;:!]|(?<=.)~|\s+")
_SYNONYM = re.compile(r"\\[dtc](?=frac|binom)|\\[a-z]+(?![a-zA-Z])")
_WRITTEN = (
    r"\leqslant \leq \geqslant \geq \neq \times \cdotp \div \lbrace \rbrace \lt \gt \varnothing \colon \imath \lparen"
    r" \rparen \lvert \rvert \vert \d \t \c"
)
_MEANT = "\\le \\le \\ge \\ge \\ne \\cdot \\cdot / \\{ \\} < > \\emptyset : i ( ) | | | \\ \\ \\"
_SYNONYMS: dict[str, str] = dict(zip(_WRITTEN.split(), _MEANT.split(), strict=True))
_GROUPED = re.compile(
    r"(?<![\d.,])([1-9]\d{0,2})(\{,\}|\\[,;: ]|~| |,)(\d{3}(?:\2\d{3})*)(?![\d,]|\.\d*\.|\s*/)"
)
_DOTTED = re.compile(r"(?<![\d.,])([1-9]\d{0,2})((?:\.\d{3}){2,})(?![\d.,])")
_REPEATING = re.compile(
    r"(?<![\d.])(\d*)\.(\d*)(?:\\overline\s*\{(\d+)\}|\((\d+)\)|\\bar\s*\{?(\d)\}?)(?![\d(])"
)
_SCIENTIFIC = re.compile(r"(?<![\d.a-zA-Z\\])(\d+(?:\.\d+)?)[eE]([+-]?\d{1,2})(?![\d.a-zA-Z])")
_MIXED = re.compile(
    r"(?<![\d.^_}a-zA-Z)])(\d+)(?:\s*\\frac\s*(?:\{(\d+)\}|(\d))\s*(?:\{(\d+)\}|(\d))|\s+(\d+)\s*/\s*(\d+))(?!\d)"
)
_CHOOSE = re.compile(r"(?:\{|^)([^{}]*)\\choose(?![a-zA-Z])([^{}]*)(?:\}|$)")
_REALS_WITHOUT = re.compile(r"\\R\s*(?:-|\\setminus|\\backslash)\s*\\?\{")
_NAMED = re.compile(
    r"(?<![a-zA-Z\\])(sqrt|pi|infinity|infty|inf|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|log|ln|exp"
    r"|theta|alpha|beta)(?![a-zA-Z])"
)
_CONNECTIVE = re.compile(
    r",?\s*(?:\\(?:text|mbox|mathrm|textrm)\s*\{[\s,]*(?:and|or)\s*\}|(?<![a-zA-Z\\])(?:and|or)(?![a-zA-Z]))"
)
_TEXT = re.compile(rf"\\(?:{_STYLE})\s*\{{([^{{}}]*)\}}")
FUNCTIONS = {
    *("\\sin", "\\cos", "\\tan", "\\cot", "\\sec", "\\csc", "\\arcsin", "\\arccos", "\\arctan", "\\sinh"),
    *("\\cosh", "\\tanh", "\\log", "\\ln", "\\exp", "\\gcd", "\\lcm", "\\max", "\\min"),
}


def unwrapped(text: str) -> str:
    """The answer in ASCII without dollar signs, asterisks, a style or braces around all of it, and a last full stop."""
    text, before = _ascii(text), ""
    text = _LAST_STOP.sub("", text.strip())
    while text != before:
        before = text
        for opening, closing in _PAIRS:
            inner = text[len(opening) : -len(closing)]
            if (
                text.startswith(opening)
                and text.endswith(closing)
                and inner
                and opening not in inner.replace("\\$", "")
            ):
                text = inner
        text = _without_braces(_ORNAMENT.sub(" ", text).strip())
    return _LAST_STOP.sub("", text)


def without_style(text: str) -> str:
    """The text with what stands in styles and without them."""
    return _SPACE.sub(" ", _TEXT.sub(r" \1 ", text.replace("\\$", "$")))


def spelling(text: str) -> str:
    """The text without spaces that mean nothing: equal where only the typing differs."""
    text = _SYNONYM.sub(lambda found: _SYNONYMS.get(found[0], found[0]), unwrapped(text))
    text = re.sub(r"\\(?:textbf|textrm|mbox|mathrm)(?![a-zA-Z])", r"\\text", text.replace("\\!", ""))
    return re.sub(r"(?<![\w\s])\s+|\s+(?![\w\s])", "", _SPACE.sub(" ", text)).strip()


def tidy(text: str, *, commas: bool = True) -> str:
    """Numbers in one form, names as commands, connectives as commas; `commas` may group thousands.

    Raises UnreadError for words that are no mathematics and for what could be two things.
    """
    text = _SYNONYM.sub(lambda found: _SYNONYMS.get(found[0], found[0]), text)
    text = text.replace("\\mathbb{R}", "\\R ").replace("\\mathbb R", "\\R ").replace("\\$", "$")
    text = _REALS_WITHOUT.sub(r"\\R \\setminus \\{", re.sub(r",\s*\\!\s*", "{,}", text))
    text = _CHOOSE.sub(r"\\binom{\1}{\2}", text)
    grouped = commas and not re.search(r"[(\[{]", text.replace("{,}", ""))
    text = _GROUPED.sub(
        lambda it: it[0] if it[2] == "," and not grouped else it[1] + it[3].replace(it[2], ""), text
    )
    text = _DOTTED.sub(lambda it: it[1] + it[2].replace(".", ""), text)
    if "{,}" in text:
        raise UnreadError("a comma that groups no thousands")
    if text.lstrip().startswith("~") or re.search(r"(?<![\d.])0\d", text):
        raise UnreadError("an approximation, or a zero in front")
    text = _CONNECTIVE.sub(lambda it: " ; " if "or" in it[0] else " , ", text)
    text = _TEXT.sub(_mathematics, text)
    text = _SPACE.sub(" ", text.replace("\\\\", "\\cr ")).replace("**", "^")
    text = _REPEATING.sub(_repeating, text)
    text = _SCIENTIFIC.sub(lambda it: written(Fraction(it[1]) * Fraction(10) ** int(it[2])), text)
    text = _MIXED.sub(_mixed, text)
    return _NAMED.sub(
        lambda it: "\\infty " if it[1].startswith("inf") else f"\\{it[1]} ", text.replace("*", "\\cdot ")
    )


def written(value: Fraction) -> str:
    """A number as LaTeX."""
    return (
        str(value.numerator)
        if value.denominator == 1
        else f"\\frac{{{value.numerator}}}{{{value.denominator}}}"
    )


def _ascii(text: str) -> str:
    text = re.sub("√\\s*(\\d+|[a-z])", r"\\sqrt{\1}", text).replace("√", "\\sqrt")
    text = _RAISED.sub(lambda run: _shifted("^", run[0]), text)
    text = _LOWERED.sub(lambda run: _shifted("_", run[0]), text)
    return "".join(it if it.isascii() else _character(it) for it in text)


def _shifted(sign: str, run: str) -> str:
    plain = "".join(_SYMBOLS.get(it, it) for it in unicodedata.normalize("NFKC", run))
    return f"{sign}{{{plain}}}"


def _character(it: str) -> str:
    if it in _SYMBOLS:
        return _SYMBOLS[it]
    kind = unicodedata.decomposition(it).partition(">")[0].removeprefix("<")
    plain = unicodedata.normalize("NFKC", it)
    if kind == "fraction" and plain.count("\u2044") == 1 and not plain.endswith("\u2044"):
        return "\\frac{{{}}}{{{}}}".format(*plain.split("\u2044"))
    name = unicodedata.name(it, "").split()
    if name[:2] == ["GREEK", "SMALL"] and len(name) == 4:
        return f"\\{name[3].lower().replace('lamda', 'lambda')} "
    return plain if plain.isascii() else it


def _without_braces(text: str) -> str:
    """The content of braces, or of a style, that stand around all of the text."""
    opening = _STYLED.match(text)
    if opening is None or not text.endswith("}"):
        return text
    depth = 0
    for position in range(opening.end(), len(text)):
        if text[position] in "{}" and text[position - 1 : position] != "\\":
            depth += 1 if text[position] == "{" else -1
        if depth == 0:
            return text[opening.end() + 1 : -1].strip() if position == len(text) - 1 else text
    return text


def _mathematics(found: re.Match[str]) -> str:
    content = found[1].strip()
    if re.fullmatch(r"[a-zA-Z]|[\d.,]+|[^a-zA-Z]*", content):
        return f" {content} "
    if f"\\{content}" in FUNCTIONS:
        return f"\\{content} "
    raise UnreadError(f"the words {content!r}")


def _repeating(found: re.Match[str]) -> str:
    whole, start, period = found[1], found[2], found[3] or found[4] or found[5]
    shift = 10 ** len(start)
    return written(
        Fraction(int(whole + start or "0"), shift) + Fraction(int(period), shift * (10 ** len(period) - 1))
    )


def _mixed(found: re.Match[str]) -> str:
    whole, above, below = found[1], found[2] or found[3] or found[6], found[4] or found[5] or found[7]
    if not 0 < int(above) < int(below) or whole.startswith("0"):
        raise UnreadError("a number beside a fraction that is no mixed number")
    return written(int(whole) + Fraction(int(above), int(below)))
