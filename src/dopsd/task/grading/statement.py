"""What an answer states: one expression, or several in a list, a tuple or interval, a union, a matrix, a relation.

A statement is a nested list whose first item names its kind, so that it can be sent to another process as it is.
"""

import re
from collections.abc import Sequence

from dopsd.task.grading.intervals import REALS, Statement, union, without
from dopsd.task.grading.latex import FUNCTIONS, UnreadError

_TOKEN = re.compile(
    r"\\(?:begin|end)\s*\{[a-zA-Z]*matrix\}|\\[a-zA-Z]+|\\.|\d+(?:\.\d+)?|\.\d+|[a-zA-Z]|\S", re.DOTALL
)
_TWO_DIGITS = re.compile(r"(\\(?:frac|binom))\s*(\d)(\d)(?!\d)")
_ARGUMENTS = {"\\frac": 2, "\\binom": 2, "\\sqrt": 1, "^": 1, "_": 1}
_RELATIONS = {
    "=": "=",
    "<": "<",
    ">": ">",
    "\\le": "<=",
    "\\ge": ">=",
    "\\ne": "!=",
    "\\in": "in",
    "\\approx": "~",
}
_FLIPPED = {">": "<", ">=": "<="}
_OPEN, _CLOSE = (
    ("(", "[", "\\{", "{", "\\langle", "\\lfloor", "\\lceil"),
    (")", "]", "\\}", "}", "\\rangle", "\\rfloor", "\\rceil"),
)
_NO_LETTERS = {
    *(*FUNCTIONS, *_RELATIONS, *_OPEN, *_CLOSE),
    *("\\cdot", "\\pm", "\\mp", "\\cup", "\\cr", "\\setminus", "\\lor", "\\mid"),
}
_NAME = re.compile(
    r"(?:[a-zA-Z]|\\[a-zA-Z]+)(?: _ \{ \w \})?(?: (?:\\cdot )?\( [a-zA-Z] \))?|[fghpP] (?:\\cdot )?\( (?:- )?\d+ \)|(?:m )?(?:\\angle )?[A-Z](?: [A-Z]){0,2}|\( [a-z](?: , [a-z])+ \)"
)
_CONSTANTS = ("e", "i", "\\pi", "\\infty", "\\R", "\\emptyset")
_MAX_DEPTH = 12  # of brackets
_MAX_ITEMS = 24
_MAX_TOKENS = 150


def stated(latex: str) -> Statement:
    """Read a tidy answer; raises UnreadError for what is incomplete or could be two things."""
    tokens = _TOKEN.findall(_TWO_DIGITS.sub(r"\1{\2}{\3}", latex))
    if len(tokens) > _MAX_TOKENS:
        raise UnreadError(f"{len(tokens)} signs and names")
    return _listed(_explicit(tokens))


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
            end = _closing(tokens, position - 1)
            inner = _explicit(tokens[position:end], depth + 1)
            out += ["\\{", *inner, "\\}"] if "," in inner else ["(", *inner, ")"]
            position = end + 1
        else:
            out.append(token)
        ended = _ends_value(token) or (ended and token in ("^", "_"))
    return out


def _ends_value(token: str) -> bool:
    letter = token.isalpha() or (token[1:].isalpha() and token not in _NO_LETTERS)
    return letter or token[-1].isdigit() or token in (*_CLOSE, "{", "!")


def _arguments(tokens: Sequence[str], position: int, command: str, depth: int) -> tuple[list[str], int]:
    """What a command applies to, all in braces, and where it ends."""
    out: list[str] = []
    if command == "\\sqrt" and tokens[position : position + 1] == ["["]:
        end = _closing(tokens, position)
        out, position = ["[", *_explicit(tokens[position + 1 : end], depth + 1), "]"], end + 1
    for _ in range(_ARGUMENTS[command]):
        argument, position = _argument(tokens, position, command)
        out += ["{", *_explicit(argument, depth + 1), "}"]
    return out, position


def _argument(tokens: Sequence[str], position: int, command: str) -> tuple[list[str], int]:
    """Braces, else one digit, letter or name; behind ^ also brackets or a signed digit."""
    token = tokens[position] if position < len(tokens) else ""
    if token == "{" or (token == "(" and command in ("^", "\\sqrt")):
        end = _closing(tokens, position)
        if end > position + 1:
            return list(tokens[position + 1 : end]), end + 1
    elif token == "-" and command == "^":
        argument, end = _argument(tokens, position + 1, command)
        return ["-", *argument], end
    elif (
        token and token not in (*_CLOSE, "!") and _ends_value(token) and (len(token) == 1 or token[0] == "\\")
    ):
        return [token], position + 1
    raise UnreadError(f"{command} of {token!r}")


def _closing(tokens: Sequence[str], start: int) -> int:
    """Where the bracket at `start` closes."""
    depth = 0
    for position in range(start, len(tokens)):
        depth += (tokens[position] in _OPEN) - (tokens[position] in _CLOSE)
        if depth == 0:
            return position
    raise UnreadError("a bracket that never closes")


def _split(tokens: Sequence[str], *separators: str) -> tuple[list[list[str]], list[str]]:
    """The parts between separators that stand in no bracket, and those separators."""
    parts: list[list[str]] = [[]]
    found, depth = [], 0
    for token in tokens:
        depth += (token in _OPEN or token.startswith("\\begin")) - (
            token in _CLOSE or token.startswith("\\end")
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


def _listed(tokens: Sequence[str]) -> Statement:
    parts, separators = _split(tokens, ",", ";", "\\lor")
    items = [item for part in parts for item in _both_signs(part)]
    if len(items) > _MAX_ITEMS:
        raise UnreadError(f"a list of {len(items)}")
    statements = [_related(item) for item in items]
    if len(statements) == 1:
        return statements[0]
    names = [it[1] if it[0] == "named" else "" for it in statements]
    if (
        "\\lor" in separators
        and len(set(names)) == 1
        and any(it[2][0] == "tuple" or it[2][:2] == ["list", "cup"] for it in statements if names[0])
    ):
        return ["named", names[0], union(it[2] for it in statements)] if names[0] else ["list", *statements]
    if all(names) and len(set(names)) == len(names) and "\\lor" not in separators:
        # alphabetical, as r, theta, phi and rho, theta, phi are not
        by_name = sorted(statements, key=lambda it: it[1].strip("\\").replace("phi", "tphi"))
        return ["named", f"( {' , '.join(sorted(names))} )", ["tuple", "(", ")", *(it[2] for it in by_name)]]
    return ["list", *statements]


def _both_signs(tokens: list[str]) -> list[list[str]]:
    """Once with plus and once with minus for \\pm, the other way round for \\mp; a set is opened first."""
    if not {"\\pm", "\\mp"} & set(tokens) or tokens[0] == "\\{":
        return [tokens]
    ways = {"\\pm": "+", "\\mp": "-"}, {"\\pm": "-", "\\mp": "+"}
    return [[signs.get(it, it) for it in tokens] for signs in ways]


def _related(tokens: list[str]) -> Statement:
    sides, operators = _split(tokens, *_RELATIONS)
    kinds = [_RELATIONS[operator] for operator in operators]
    if not kinds:
        return _united(tokens)
    if kinds[-1] == "~":
        return _rounded(sides, kinds)
    if kinds == ["="] and _is_name(sides[1]) and not _is_name(sides[0]):
        sides = sides[::-1]
    if kinds in (["="], ["in"]) and _is_name(sides[0]):
        return ["named", " ".join(sides[0]), _united(sides[1])]
    if set(kinds) == {"="} and _is_name(sides[0]):
        return ["named", " ".join(sides[0]), ["chain", *map(_united, sides[1:])]]
    if set(kinds) == {"="}:
        return ["chain", *map(_united, sides)]
    if kinds == ["!="] and _is_name(sides[0]):
        return ["named", " ".join(sides[0]), without(REALS, [_united(sides[1])])]
    return _inequality(sides, kinds)


def _rounded(sides: list[list[str]], kinds: list[str]) -> Statement:
    """A value that its own rounding follows."""
    name = " ".join(sides[0]) if len(sides) == 3 and kinds[0] == "=" and _is_name(sides[0]) else ""
    if len(sides) - bool(name) != 2 or not re.fullmatch(r"(?:- )?[\d.]+", " ".join(sides[-1])):
        raise UnreadError("an approximation")
    rounded = ["rounded", _united(sides[-2]), " ".join(sides[-1])]
    return ["named", name, rounded] if name else rounded


def _inequality(sides: list[list[str]], kinds: list[str]) -> Statement:
    """An interval where it bounds one letter, else the relation, the smaller side first."""
    if set(kinds) <= _FLIPPED.keys():
        sides, kinds = sides[::-1], [_FLIPPED[kind] for kind in kinds[::-1]]
    if not set(kinds) <= {"<", "<="} and kinds != ["!="]:
        raise UnreadError("a chain of relations")
    bounds, signs = sides, kinds
    if len(sides) == 2 and _is_name(sides[0]):
        bounds, signs = [["-", "\\infty"], *sides], ["<", *kinds]
    elif len(sides) == 2 and _is_name(sides[1]):
        bounds, signs = [*sides, ["\\infty"]], [*kinds, "<"]
    if len(bounds) == 3 and _is_name(bounds[1]) and kinds != ["!="]:
        brackets = "(["[signs[0] == "<="], ")]"[signs[1] == "<="]
        return ["named", " ".join(bounds[1]), ["tuple", *brackets, _united(bounds[0]), _united(bounds[2])]]
    if len(sides) > 2:
        raise UnreadError("a chain of relations")
    return ["relation", *kinds, *map(_united, sides)]


def _is_name(tokens: list[str]) -> bool:
    """Whether this is x, x_1, f(x), or (x, y)."""
    return _NAME.fullmatch(" ".join(tokens)) is not None and (len(tokens) > 1 or tokens[0] not in _CONSTANTS)


def _united(tokens: list[str]) -> Statement:
    parts, _ = _split(tokens, "\\cup")
    if len(parts) > 1:
        return union(map(_united, parts))
    whole, *removed = _split(tokens, "\\setminus")[0]
    if removed:
        taken = [_grouped(it) for it in removed]
        return without(
            _grouped(whole), [it for part in taken for it in (part[1:] if part[0] == "list" else [part])]
        )
    ratio, _ = _split(tokens, ":")
    return ["tuple", ":", ":", *map(_grouped, ratio)] if len(ratio) > 1 else _grouped(tokens)


def _grouped(tokens: list[str]) -> Statement:
    """A bracket with its items, else one value."""
    if not tokens:
        raise UnreadError("nothing between two signs")
    if tokens == ["\\R"]:
        return REALS
    if any(token.startswith("\\begin") for token in tokens):
        return _matrix(tokens)
    if tokens[0] in _OPEN and tokens[-1] in _CLOSE and _closing(tokens, 0) == len(tokens) - 1:
        if tokens[0] == "\\{" and tokens[1:-1] != ["\\emptyset"]:
            return _set(tokens[1:-1])
        items, _ = _split(tokens[1:-1], ",", ";")
        if len(items) > 1:
            return ["tuple", tokens[0], tokens[-1], *map(_related, items)]
    if {",", ";", "\\R", "\\setminus", "\\{", "\\}", "\\cr", "&", "\\lor"} & set(tokens) or tokens[0] == "[":
        raise UnreadError("several values where one was expected")
    return ["value", " ".join(tokens)]


def _set(tokens: list[str]) -> Statement:
    """The items between braces, or the interval that `x : x > 2` describes."""
    parts, _ = _split(tokens, "\\mid", ":", "|")
    name = parts[0][:-2] if parts[0][-2:] == ["\\in", "\\R"] else parts[0]
    if len(parts) != 2 or not _is_name(name):
        return _listed(tokens)
    described = _listed(parts[1])
    several = described[1:] if described[0] == "list" else [described]
    if not all(it[:2] == ["named", " ".join(name)] for it in several):
        raise UnreadError("a set of something else")
    return several[0][2] if len(several) == 1 else ["list", *(it[2] for it in several)]


def _matrix(tokens: list[str]) -> Statement:
    """A matrix, and what is multiplied into it in front."""
    start = next(at for at, token in enumerate(tokens) if token.startswith("\\begin"))
    factor, matrix = tokens[:start], tokens[start:]
    if len(matrix) > 1 and factor[-1:] in (["("], ["["]) and matrix[-1] in (")", "]"):
        factor, matrix = factor[:-1], matrix[:-1]
    if not matrix[-1].startswith("\\end"):
        raise UnreadError("something behind a matrix")
    rows = [_split(row, "&")[0] for row in _split(matrix[1:-1], "\\cr")[0]]
    rows = rows[:-1] if rows[-1] == [[]] else rows
    entries = [["tuple", "row", "", *(_multiplied(factor, _grouped(cell)) for cell in row)] for row in rows]
    kind = "determinant" if "vmatrix" in matrix[0].lower() else "matrix"
    if kind == "determinant" and factor:
        raise UnreadError("a multiple of a determinant")
    return ["tuple", kind, "", *entries]


def _multiplied(factor: list[str], cell: Statement) -> Statement:
    if not factor:
        return cell
    sign = ["-", "1"] if factor == ["-"] else factor[: -1 if factor[-1] == "\\cdot" else None]
    number = _grouped(sign)
    if number[0] != "value" or cell[0] != "value":
        raise UnreadError("no number in front of a matrix of values")
    return ["value", f"( {number[1]} ) \\cdot ( {cell[1]} )"]
