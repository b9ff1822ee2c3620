"""LaTeX as a list of tokens: ornaments, units and thousands separators dropped, synonyms under one name."""

import re
from dataclasses import dataclass

MAX_LENGTH = 300  # characters
_DROPPED = re.compile(
    r"(?<!\\)\\[!,;: ]|\\(?:left|right|[bB]igg?[lr]?|displaystyle|limits|quad|qquad)(?![a-zA-Z])"
    r"|\\?[$%]|\^\s*\{?\s*(?:\\circ|\\degree)\s*\}?|°|~"
)
_THOUSANDS = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])")
_SPACED_COMMA = re.compile(r"(\d)(?:\{,\}|,\s*\\!)\s*(?=\d{3})")
_CONNECTIVE = re.compile(r",?\s*\\(?:text|mbox|mathrm)\{\s*(?:and|or)\s*\}|,?\s(?:and|or)\s")
_TEXT = re.compile(
    r"\\(?:text|mbox|mathrm|textrm|textbf|textit|operatorname)\s*\{([^{}]*)\}(?:\^\{?[23]\}?)?"
)
_MEMBERSHIP = re.compile(r"^\s*[a-zA-Z]\s*\\in(?![a-z])")
_MATRIX = re.compile(r"\\(begin|end)\s*\{[pb]matrix\}")
_TOKEN = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+|\\[a-zA-Z]+|\\.|\S)")
_SYNONYMS: dict[str, str] = {
    **dict.fromkeys(("\\dfrac", "\\tfrac", "\\cfrac"), "\\frac"),
    **dict.fromkeys(("\\cdot", "\\times", "×", "·", "⋅", "∗"), "*"),
    **{"\\div": "/", "÷": "/", "−": "-", "–": "-", "π": "\\pi", "∞": "\\infty", "√": "\\sqrt", "∪": "\\cup"},
    **{"\\lbrace": "\\{", "\\rbrace": "\\}", "\\dbinom": "\\binom", "\\tbinom": "\\binom"},
    **{"\\lparen": "(", "\\rparen": ")", ";": ","},
}


def tokens_of(latex: str) -> list[str]:
    """The tokens of an expression; raises ValueError where it is longer than any answer."""
    if len(latex) > MAX_LENGTH:
        raise ValueError(f"an expression of {len(latex)} characters: at most {MAX_LENGTH}")
    latex = _MEMBERSHIP.sub("", latex.strip())
    latex = _CONNECTIVE.sub(",", _SPACED_COMMA.sub(r"\1", latex))
    latex = _TEXT.sub(" ", latex)
    latex = _DROPPED.sub(" ", latex).strip().removesuffix(".")
    if not any(bracket in latex for bracket in ("(", "[", "\\{")):
        latex = _THOUSANDS.sub(lambda found: found[0].replace(",", ""), latex)
    latex = _MATRIX.sub(lambda found: "⟦" if found[1] == "begin" else "⟧", latex)
    return [_SYNONYMS.get(found[1], found[1]) for found in _TOKEN.finditer(latex)]


@dataclass
class Cursor:
    """A place in a list of tokens."""

    tokens: list[str]
    position: int = 0

    @property
    def next(self) -> str:
        """The token to come, the empty string at the end."""
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def take(self, expected: str | None = None) -> str:
        """Go past the next token; raises ValueError where it is not the expected one."""
        token = self.next
        if expected is not None and token != expected:
            raise ValueError(f"{token!r} where {expected!r} was expected")
        self.position += 1
        return token

    def took(self, *tokens: str) -> str:
        """Go past the next token if it is one of these; empty where it is not."""
        return self.take() if self.next in tokens and self.next else ""
