"""What may stand around an answer and says nothing: dollar signs, styles, a fence, `The answer is`, a full stop."""

import re
import unicodedata

_SYMBOLS = {
    **dict.fromkeys("−–—‐‑", "-"),
    **dict.fromkeys("×·⋅∙∗\u2062", "\\cdot "),
    **dict.fromkeys("\u200b\u200c\u200d\u200e\u2060\ufeff", ""),
    **{"÷": "/", "⁄": "/", "∕": "/", "≤": "\\le ", "⩽": "\\le ", "≥": "\\ge ", "⩾": "\\ge ", "≠": "\\ne "},
    **{"∞": "\\infty ", "∪": "\\cup ", "∈": "\\in ", "±": "\\pm ", "∅": "\\emptyset ", "°": "^{\\circ}"},
    **{"ℝ": "\\mathbb{R}", "∖": "\\setminus ", "⟨": "\\langle ", "⟩": "\\rangle ", "∶": ":", "′": "'"},
    **{"≈": "\\approx ", "∨": "\\lor ", "∣": "\\mid ", "。": ".", "¢": "\\text{ cents}", "∴": "\\therefore "},
    **{"⌊": "\\lfloor ", "⌋": "\\rfloor ", "⌈": "\\lceil ", "⌉": "\\rceil "},
}
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ]+")
_LOWERED = re.compile("[₀₁₂₃₄₅₆₇₈₉₊₋ₙ]+")
_PAIRS = (
    *(("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("*", "*"), ("`", "`")),
    *(("{\\bf", "}"), ("{\\it", "}"), ("{\\rm", "}")),
)
STYLE = (
    r"text(?:bf|it|rm|normal|sf|tt)?|math(?:rm|bf|it|sf|tt|normal)|boldsymbol|bm|mbox|boxed|fbox|emph|operatorname"
    r"|underline|ensuremath"
)
BLANK = r"(?:\\[ ,;:!]|\\q?quad(?![a-zA-Z])|\s)"
_STYLED = re.compile(rf"(?:\\(?:{STYLE})\s*|boxed)?(?=\{{)")
_TAIL = re.compile(
    rf"(?<=[^.,\\\s])(?:{BLANK}|~)*(?:\\\\{BLANK}*)?(?:[.,]|\\text\s*\{{\s*[.,]?\s*\}})?{BLANK}*$"
)
_ORNAMENT = re.compile(
    r"\\(?:left|right)\s*\.|\\(?:left|right|middle|[bB]igg?[lrm]?|displaystyle|textstyle|limits|nolimits|hline|bf|bfseries|it|rm|small"
    r"|normalsize|large|Large|LARGE|huge|Huge|centering)(?![a-zA-Z])|\\(?:text)?color\s*\{\w+\}"
)
_FENCE = re.compile(r"```(?:[a-zA-Z]+(?=\s))?\s*([^`]*?)\s*```")
_SO = r"(?:(?:(?:so|thus|hence|therefore)\b|\\therefore(?![a-zA-Z]))[\s,]*)?"
_WHAT = (
    r"(?:(?:the|our|my|final|correct|required|desired|exact|simplified|numerical)\s+)*"
    r"(?:(?:answers?|ans|results?|values?|solutions?|probability|sum|total|area|volume|perimeter|length|distance|number"
    r"|remainder|expression|radius|slope|ratio|angle|domain|range|interval|set)\b[\s.]*)+|(?:it|this|that)\b\s*"
)
_LINK = r"(?:(?:is equal to|equals|is|are)\b\s*:?|[:=])"
_INTRODUCTION = re.compile(
    rf"{_SO}(?P<style>\\(?:text(?:bf)?|mbox|mathrm)\s*\{{|\*\*)?\s*{_SO}(?:{_WHAT})(?P<inner>{_LINK})?\s*"
    rf"(?(style)(?:\}}|\*\*))\s*(?P<outer>{_LINK})?\s*",
    re.IGNORECASE,
)
_MARK = re.compile(r"=|\\therefore(?![a-zA-Z])|(?:\\?#){1,6}\s")
_NEGATIVE = re.compile(
    r"(?:(\\text\s*\{)\s*)?(?:minus|negative)\b\s*(?(1)\})\s*(?=[\w.$\\]|$)", re.IGNORECASE
)
_MAX_LAYERS = 12


def unwrapped(text: str) -> str:
    """The answer in ASCII without a wrapping around all of it, an introduction, and a last full stop."""
    text = _TAIL.sub("", _ascii(text).strip())
    for _ in range(_MAX_LAYERS):
        before = text
        if fenced := _FENCE.fullmatch(text):
            text = fenced[1]
        for opening, closing in _PAIRS:
            inner = text[len(opening) : -len(closing)]
            if (
                text.startswith(opening)
                and text.endswith(closing)
                and inner
                and opening not in inner.replace("\\$", "")
                and inner.count("{") == inner.count("}")
            ):
                text = inner
        text = _without_braces(_ORNAMENT.sub(" ", text).strip())
        text = _TAIL.sub("", _without_introduction(text))
        if text == before:
            break
    return text


def _without_introduction(text: str) -> str:
    """The answer behind `The answer is` and the like, in which no word could deny or change it."""
    found = _INTRODUCTION.match(text)
    if found and (found["inner"] or found["outer"]):
        text = text[found.end() :]
    elif mark := _MARK.match(text):
        text = text[mark.end() :].strip()
    return _NEGATIVE.sub("-", text, count=1) if _NEGATIVE.match(text) else text


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
