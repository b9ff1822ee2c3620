"""The signs and names of an answer, every argument in braces, and a sign wherever brackets multiply."""

import re
from collections.abc import Sequence

from dopsd.task.grading.latex import FUNCTIONS, UnreadError

_TOKEN = re.compile(
    r"\\(?:begin|end)\s*\{[a-zA-Z]*matrix\}|\\[a-zA-Z]+|\\.|\d+(?:\.\d+)?|\.\d+|[a-zA-Z]|\S", re.DOTALL
)
_TWO_DIGITS = re.compile(r"(\\(?:frac|binom))\s*(\d)(\d)(?!\d)")
_ARGUMENTS = {"\\frac": 2, "\\binom": 2, "\\sqrt": 1, "^": 1, "_": 1}
RELATIONS = {"=": "=", "<": "<", ">": ">", "\\le": "<=", "\\ge": ">=", "\\ne": "!="} | {
    "\\in": "in",
    "\\approx": "~",
}
OPEN, CLOSE = (
    ("(", "[", "\\{", "{", "\\langle", "\\lfloor", "\\lceil"),
    (")", "]", "\\}", "}", "\\rangle", "\\rfloor", "\\rceil"),
)
_NO_LETTERS = {
    *(*FUNCTIONS, *RELATIONS, *OPEN, *CLOSE),
    *("\\cdot", "\\pm", "\\mp", "\\cup", "\\cr", "\\setminus", "\\lor", "\\mid"),
}
_MAX_DEPTH = 12  # of brackets
_MAX_TOKENS = 150


def tokens_of(latex: str) -> list[str]:
    """Take a tidy answer apart; raises UnreadError where two values stand side by side, or an argument is missing."""
    tokens = _TOKEN.findall(_TWO_DIGITS.sub(r"\1{\2}{\3}", latex))
    if len(tokens) > _MAX_TOKENS:
        raise UnreadError(f"{len(tokens)} signs and names")
    return _explicit(tokens)


def _explicit(tokens: Sequence[str], depth: int = 0) -> list[str]:
    """The same with braces around every argument, brackets for other braces, and a sign where brackets multiply."""
    if depth > _MAX_DEPTH:
        raise UnreadError("brackets too deep")
    out: list[str] = []
    position, ended = 0, False  # whether a value ended: no number may follow it
    while position < len(tokens):
        token, position = tokens[position], position + 1
        if ended and token[0] in "0123456789" and out[-1] == "!":
            out.append("\\cdot")
        elif ended and token[0] in "0123456789.{":
            raise UnreadError(f"{token!r} right behind a value")
        if ended and token in ("(", "\\frac", "\\binom") and out[-1] not in ("f", "g", "h"):
            out.append("\\cdot")
        if token in _ARGUMENTS:
            arguments, position = _arguments(tokens, position, token, depth)
            out += [token, *arguments]
        elif token == "{":
            end = closing(tokens, position - 1)
            inner = _explicit(tokens[position:end], depth + 1)
            out += ["\\{", *inner, "\\}"] if "," in inner else ["(", *inner, ")"]
            position = end + 1
        else:
            out.append(token)
        ended = _ends_value(token) or (ended and token in ("^", "_"))
    return out


def _ends_value(token: str) -> bool:
    letter = token.isalpha() or (token[1:].isalpha() and token not in _NO_LETTERS)
    return letter or token[-1].isdigit() or token in (*CLOSE, "{", "!")


def _arguments(tokens: Sequence[str], position: int, command: str, depth: int) -> tuple[list[str], int]:
    """What a command applies to, all in braces, and where it ends."""
    out: list[str] = []
    if command == "\\sqrt" and tokens[position : position + 1] == ["["]:
        end = closing(tokens, position)
        out, position = ["[", *_explicit(tokens[position + 1 : end], depth + 1), "]"], end + 1
    for _ in range(_ARGUMENTS[command]):
        argument, position = _argument(tokens, position, command)
        out += ["{", *_explicit(argument, depth + 1), "}"]
    return out, position


def _argument(tokens: Sequence[str], position: int, command: str) -> tuple[list[str], int]:
    """Braces, else one digit, letter or name; behind ^ also brackets or a signed digit."""
    token = tokens[position] if position < len(tokens) else ""
    if token == "{" or (token == "(" and command in ("^", "\\sqrt")):
        end = closing(tokens, position)
        if end > position + 1:
            return list(tokens[position + 1 : end]), end + 1
    elif token == "-" and command == "^":
        argument, end = _argument(tokens, position + 1, command)
        return ["-", *argument], end
    elif (
        token and token not in (*CLOSE, "!") and _ends_value(token) and (len(token) == 1 or token[0] == "\\")
    ):
        return [token], position + 1
    raise UnreadError(f"{command} of {token!r}")


def closing(tokens: Sequence[str], start: int) -> int:
    """Where the bracket at `start` closes."""
    depth = 0
    for position in range(start, len(tokens)):
        depth += (tokens[position] in OPEN) - (tokens[position] in CLOSE)
        if depth == 0:
            return position
    raise UnreadError("a bracket that never closes")


def split(tokens: Sequence[str], *separators: str) -> tuple[list[list[str]], list[str]]:
    """The parts between separators that stand in no bracket, and those separators."""
    parts: list[list[str]] = [[]]
    found, depth = [], 0
    for token in tokens:
        depth += (token in OPEN or token.startswith("\\begin")) - (
            token in CLOSE or token.startswith("\\end")
        )
        if not 0 <= depth <= _MAX_DEPTH:
            raise UnreadError("a bracket that never opened, or too many")
        if depth == 0 and token in separators:
            found.append(token)
            parts.append([])
        else:
            parts[-1].append(token)
    if depth:
        raise UnreadError("a bracket that never closes")
    return parts, found
