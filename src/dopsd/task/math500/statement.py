"""What an answer states: one expression, or several in a list, a tuple or interval, a union, a matrix, a relation.

A statement is a nested list whose first item names its kind, so that it can be sent to another process as it is.
"""

import re
from collections.abc import Sequence

from dopsd.task.grading.latex import UnreadError
from dopsd.task.math500.intervals import REALS, Statement, union, without
from dopsd.task.math500.tokens import CLOSE, OPEN, RELATIONS, closing, split, tokens_of

_FLIPPED = {">": "<", ">=": "<="}
_NAME = re.compile(
    r"(?:[a-zA-Z]|\\[a-zA-Z]+)(?: _ \{ \w \})?(?: (?:\\cdot )?\( [a-zA-Z] \))?|[fghpP] (?:\\cdot )?\( (?:- )?\d+ \)"
    r"|(?:m )?(?:\\angle )?[A-Z](?: [A-Z]){0,2}|\( [a-z](?: , [a-z])+ \)"
)
_CONSTANTS = ("e", "i", "\\pi", "\\infty", "\\R", "\\emptyset")
_MAX_ITEMS = 24


def stated(latex: str) -> Statement:
    """Read a tidy answer; raises UnreadError for what is incomplete or could be two things."""
    return _listed(tokens_of(latex))


def _listed(tokens: Sequence[str]) -> Statement:
    parts, separators = split(tokens, ",", ";", "\\lor")
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
    sides, operators = split(tokens, *RELATIONS)
    kinds = [RELATIONS[operator] for operator in operators]
    if not kinds:
        return _united(tokens)
    if kinds[-1] == "~":
        return _rounded(sides, kinds)
    if kinds == ["="] and _is_name(sides[1]) and not _is_name(sides[0]):
        sides = sides[::-1]
    if kinds in (["="], ["in"]) and _is_name(sides[0]):
        return ["named", " ".join(sides[0]), _united(sides[1])]
    if set(kinds) == {"="}:
        name = _is_name(sides[0])
        chain = ["chain", *map(_united, sides[name:])]
        return ["named", " ".join(sides[0]), chain] if name else chain
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
    parts, _ = split(tokens, "\\cup")
    if len(parts) > 1:
        return union(map(_united, parts))
    whole, *removed = split(tokens, "\\setminus")[0]
    if removed:
        taken = [_grouped(it) for it in removed]
        return without(
            _grouped(whole), [it for part in taken for it in (part[1:] if part[0] == "list" else [part])]
        )
    ratio, _ = split(tokens, ":")
    return ["tuple", ":", ":", *map(_grouped, ratio)] if len(ratio) > 1 else _grouped(tokens)


def _grouped(tokens: list[str]) -> Statement:
    """A bracket with its items, else one value."""
    if not tokens:
        raise UnreadError("nothing between two signs")
    if tokens == ["\\R"]:
        return REALS
    if any(token.startswith("\\begin") for token in tokens):
        return _matrix(tokens)
    if tokens[0] in OPEN and tokens[-1] in CLOSE and closing(tokens, 0) == len(tokens) - 1:
        if tokens[0] == "\\{" and tokens[1:-1] != ["\\emptyset"]:
            return _set(tokens[1:-1])
        items, _ = split(tokens[1:-1], ",", ";")
        if len(items) > 1:
            return ["tuple", tokens[0], tokens[-1], *map(_related, items)]
    if {",", ";", "\\R", "\\setminus", "\\{", "\\}", "\\cr", "&", "\\lor"} & set(tokens) or tokens[0] == "[":
        raise UnreadError("several values where one was expected")
    return ["value", " ".join(tokens)]


def _set(tokens: list[str]) -> Statement:
    """The items between braces, or the interval that `x : x > 2` describes."""
    parts, _ = split(tokens, "\\mid", ":", "|")
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
    rows = [split(row, "&")[0] for row in split(matrix[1:-1], "\\cr")[0]]
    rows = rows[:-1] if rows[-1] == [[]] else rows
    entries = [["tuple", "row", "", *(_multiplied(factor, _grouped(cell)) for cell in row)] for row in rows]
    kind = "determinant" if "vmatrix" in matrix[0].lower() else "matrix"
    if factor and (
        kind == "determinant" or all(cell == ["value", "0"] for row in rows for cell in map(_grouped, row))
    ):
        raise UnreadError("a multiple of a determinant, or of nothing")
    return ["tuple", kind, "", *entries]


def _multiplied(factor: list[str], cell: Statement) -> Statement:
    if not factor:
        return cell
    sign = ["-", "1"] if factor == ["-"] else factor[: -1 if factor[-1] == "\\cdot" else None]
    number = _grouped(sign)
    if number[0] != "value" or cell[0] != "value":
        raise UnreadError("no number in front of a matrix of values")
    return ["value", f"( {number[1]} ) \\cdot ( {cell[1]} )"]
