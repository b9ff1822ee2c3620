"""What an answer states: one expression, or several in a list, a tuple or interval, a union, a matrix, a relation.

A statement is a nested list whose first item names its kind, so that it can be sent to another process as it is.
"""

import re
from collections.abc import Sequence

from dopsd.task.grading.latex import UnreadError

Statement = list
_TOKEN = re.compile(r"\\(?:begin|end)\s*\{[a-zA-Z]*matrix\}|\\[a-zA-Z]+|\\.|\d+(?:\.\d+)?|\.\d+|[a-zA-Z]|\S")
_ARGUMENTS = {"\\frac": 2, "\\binom": 2, "\\sqrt": 1, "^": 1, "_": 1}
_FUNCTIONS = frozenset(
    "\\" + name
    for name in "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp gcd lcm max min".split()
)
_RELATIONS = {"=": "=", "<": "<", ">": ">", "\\le": "<=", "\\ge": ">=", "\\ne": "!=", "\\in": "in"}
_FLIPPED = {">": "<", ">=": "<="}
_OPEN, _CLOSE = ("(", "[", "\\{", "{", "\\langle"), (")", "]", "\\}", "}", "\\rangle")
_MAX_DEPTH = 12  # of brackets
_MAX_ITEMS = 24
_EVERYTHING = ["tuple", "(", ")", ["value", "- \\infty"], ["value", "\\infty"]]


def stated(latex: str) -> Statement:
    """Read a tidy answer; raises UnreadError for what is incomplete or could be two things."""
    return _listed(_explicit(_TOKEN.findall(latex)))


def _explicit(tokens: Sequence[str], depth: int = 0) -> list[str]:
    """The same with braces around every argument, brackets for other braces, and a sign where brackets multiply."""
    if depth > _MAX_DEPTH:
        raise UnreadError("brackets too deep")
    out: list[str] = []
    position, ended = 0, False  # whether a value ended: no number may follow it
    while position < len(tokens):
        token, position = tokens[position], position + 1
        starts_number = token[0].isdigit() or token[0] == "." and len(token) > 1
        if ended and (starts_number or token == "{"):
            raise UnreadError(f"{token!r} right behind a value")
        if ended and (token in ("(", "\\frac", "\\binom") or (token == "\\{" and out)):
            if out[-1] not in ("f", "g", "h"):
                out.append("\\cdot")
        if token in _ARGUMENTS:
            out.append(token)
            if token == "\\sqrt" and tokens[position : position + 1] == ["["]:
                end = _closing(tokens, position)
                out += ["[", *_explicit(tokens[position + 1 : end], depth + 1), "]"]
                position = end + 1
            for _ in range(_ARGUMENTS[token]):
                argument, position = _argument(tokens, position, token)
                out += ["{", *_explicit(argument, depth + 1), "}"]
            ended = ended if token in "^_" else True
        elif token == "{":
            end = _closing(tokens, position - 1)
            inner = _explicit(tokens[position:end], depth + 1)
            out += ["\\{", *inner, "\\}"] if len(_split(inner, (",",))) > 1 else ["(", *inner, ")"]
            position, ended = end + 1, True
        else:
            out.append(token)
            ended = starts_number or token.isalpha() or token in (*_CLOSE, "!", "\\R") or _is_letter(token)
    return out


def _argument(tokens: Sequence[str], position: int, command: str) -> tuple[Sequence[str], int]:
    """What a command applies to: braces, else one digit, letter or name, and brackets or a signed digit behind ^."""
    token = tokens[position] if position < len(tokens) else ""
    if token == "{" or (token == "(" and command in ("^", "\\sqrt")):
        end = _closing(tokens, position)
        if end == position + 1:
            raise UnreadError(f"{command} of nothing")
        return tokens[position + 1 : end], end + 1
    if token == "-" and command == "^":
        argument, end = _argument(tokens, position + 1, command)
        return ["-", *argument], end
    if token.isdigit() and len(token) == 2 and command in ("\\frac", "\\binom") and tokens[position - 1] == command:
        return [token[0]], _pushed(tokens, position, token[1])
    if (token.isdigit() and len(token) == 1) or token.isalpha() or _is_letter(token):
        return [token], position + 1
    raise UnreadError(f"{command} of {token!r}")


def _pushed(tokens: Sequence[str], position: int, token: str) -> int:
    """Leave the rest of a split token to be read next."""
    assert isinstance(tokens, list)
    tokens[position] = token
    return position


def _is_letter(token: str) -> bool:
    return token[:1] == "\\" and token[1:].isalpha() and token not in _FUNCTIONS and token not in _NOT_LETTERS


_NOT_LETTERS = frozenset((*_RELATIONS, *_ARGUMENTS, "\\cdot", "\\pm", "\\cup", "\\cr", "\\setminus", *_OPEN, *_CLOSE))


def _closing(tokens: Sequence[str], start: int) -> int:
    """Where the bracket at `start` closes."""
    depth = 0
    for position in range(start, len(tokens)):
        depth += (tokens[position] in _OPEN) - (tokens[position] in _CLOSE)
        if depth == 0:
            return position
    raise UnreadError("a bracket that never closes")


def _split(tokens: Sequence[str], separators: Sequence[str]) -> list[list[str]]:
    """The parts between separators that stand in no bracket."""
    parts: list[list[str]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token in _OPEN or token.startswith("\\begin")) - (token in _CLOSE or token.startswith("\\end"))
        if depth < 0:
            raise UnreadError("a bracket that never opened")
        if depth == 0 and token in separators:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _listed(tokens: Sequence[str]) -> Statement:
    items = [item for part in _split(tokens, (",", ";")) for item in _signs(part)]
    if len(items) > _MAX_ITEMS:
        raise UnreadError(f"a list of {len(items)}")
    statements = [_related(item) for item in items]
    if len(statements) == 1:
        return statements[0]
    names = [it[1] if it[0] == "named" else "" for it in statements]
    if ";" in tokens and len(set(names)) == 1 and all(it[0] == "named" and it[2][0] == "tuple" for it in statements):
        return ["named", names[0], ["list", "cup", *(it[2] for it in statements)]]
    if all(names) and len(set(names)) == len(names):
        by_name = [it[2] for _, it in sorted(zip(names, statements, strict=True))]
        return ["named", f"( {' , '.join(sorted(names))} )", ["tuple", "(", ")", *by_name]]
    return ["list", *statements]


def _signs(tokens: list[str]) -> list[list[str]]:
    """The item once, or with \\pm as plus and as minus."""
    if "\\pm" not in tokens:
        return [tokens]
    return [[sign if token == "\\pm" else token for token in tokens] for sign in "+-"]


def _related(tokens: list[str]) -> Statement:
    operators = [token for part in [_without_brackets(tokens)] for token in part if token in _RELATIONS]
    sides = _split(tokens, tuple(_RELATIONS))
    if len(sides) == 1:
        return _united(tokens)
    kinds = [_RELATIONS[operator] for operator in operators]
    if kinds in (["="], ["in"]) and _is_name(sides[0]):
        return ["named", " ".join(sides[0]), _united(sides[1])]
    if kinds == ["="] and _is_name(sides[1]):
        return ["named", " ".join(sides[1]), _united(sides[0])]
    if set(kinds) == {"="}:
        if _is_name(sides[0]):
            return ["named", " ".join(sides[0]), ["chain", *map(_united, sides[1:])]]
        return ["chain", *map(_united, sides)]
    return _inequality(sides, kinds)


def _inequality(sides: list[list[str]], kinds: list[str]) -> Statement:
    """An interval where it bounds one letter, else the relation, the smaller side first."""
    if all(kind in (">", ">=") for kind in kinds):
        sides, kinds = sides[::-1], [_FLIPPED[kind] for kind in kinds[::-1]]
    if len(sides) > 3 or not all(kind in ("<", "<=") for kind in kinds) and kinds != ["!="]:
        raise UnreadError("a chain of relations")
    if kinds == ["!="] and _is_name(sides[0]):
        return ["named", sides[0][0], _reals_without([_united(sides[1])])]
    brackets = [{"<": "()", "<=": "[]"}[kind] for kind in kinds if kind != "!="]
    if len(sides) == 3 and _is_name(sides[1]):
        low, high = _united(sides[0]), _united(sides[2])
        return ["named", sides[1][0], ["tuple", brackets[0][0], brackets[1][1], low, high]]
    if len(sides) == 2 and kinds != ["!="] and _is_name(sides[0]):
        return ["named", sides[0][0], ["tuple", "(", brackets[0][1], ["value", "- \\infty"], _united(sides[1])]]
    if len(sides) == 2 and kinds != ["!="] and _is_name(sides[1]):
        return ["named", sides[1][0], ["tuple", brackets[0][0], ")", _united(sides[0]), ["value", "\\infty"]]]
    return ["relation", " ".join(kinds), *map(_united, sides)]


def _is_name(tokens: list[str]) -> bool:
    """Whether this is x, x_1, f(x), or (x, y)."""
    return re.fullmatch(
        r"(?:[a-zA-Z]|\\[a-zA-Z]+)(?: _ \{ \w \})?(?: (?:\\cdot )?\( [a-z] \))?|\( [a-z](?: , [a-z])+ \)", " ".join(tokens)
    ) is not None and (len(tokens) > 1 or tokens[0] not in ("e", "i", "\\pi", "\\infty", "\\R", "\\emptyset"))


def _united(tokens: list[str]) -> Statement:
    parts = _split(tokens, ("\\cup",))
    if len(parts) > 1:
        return ["list", "cup", *map(_grouped, parts)]
    whole, *removed = _split(tokens, ("\\setminus",))
    if len(removed) == 1 and whole == ["\\R"]:
        points = _grouped(removed[0])
        return _reals_without(points[1:] if points[0] == "list" else [points])
    ratio = _split(tokens, (":",))
    if len(ratio) > 1:
        return ["tuple", ":", ":", *map(_grouped, ratio)]
    return _grouped(tokens)


def _reals_without(points: list[Statement]) -> Statement:
    """The union of intervals around points that are plain numbers."""
    try:
        ordered = sorted(points, key=lambda it: float(re.sub(r"\\frac \{ (\d+) \} \{ (\d+) \}", r"", it[1].replace(" ", ""))))
    except ValueError as error:
        raise UnreadError("points to leave out that are no numbers") from error
    ends = [_EVERYTHING[3], *ordered, _EVERYTHING[4]]
    return ["list", "cup", *(["tuple", "(", ")", low, high] for low, high in zip(ends, ends[1:], strict=False))]


def _grouped(tokens: list[str]) -> Statement:
    if not tokens:
        raise UnreadError("nothing between two signs")
    if tokens == ["\\R"]:
        return _EVERYTHING
    if tokens[0].startswith("\\begin") and tokens[-1].startswith("\\end"):
        return _matrix(tokens)
    if tokens[0] in _OPEN and tokens[-1] in _CLOSE and _closing(tokens, 0) == len(tokens) - 1:
        items = _split(tokens[1:-1], (",", ";"))
        if tokens[0] == "\\{" and tokens[1:-1] != ["\\emptyset"]:
            return _listed(tokens[1:-1])
        if tokens[1] == "\\begin{matrix}" and tokens[-2] == "\\end{matrix}":
            return _matrix(tokens[1:-1])
        if len(items) > 1:
            return ["tuple", tokens[0], tokens[-1], *map(_related, items)]
    if set(tokens) & {",", ";", "\\R", "\\setminus", "\\{", "\\}", "\\cr", "&", "[" if "\\sqrt" not in tokens else ""}:
        raise UnreadError("several values where one was expected")
    return ["value", " ".join(tokens)]


def _matrix(tokens: list[str]) -> Statement:
    kind = re.sub(r"[^a-z]", "", tokens[0].removeprefix("\\begin")).removesuffix("matrix")
    rows = _split(tokens[1:-1], ("\\cr",))
    if not rows[-1]:
        rows.pop()
    brackets = kind if kind in ("v", "V") else "("
    return ["tuple", "matrix", brackets, *(["tuple", "row", "", *map(_grouped, _split(row, ("&",)))] for row in rows)]


def _without_brackets(tokens: list[str]) -> list[str]:
    """The tokens that stand in no bracket."""
    depth, outside = 0, []
    for token in tokens:
        depth -= token in _CLOSE or token.startswith("\\end")
        if depth == 0:
            outside.append(token)
        depth += token in _OPEN or token.startswith("\\begin")
    return outside
