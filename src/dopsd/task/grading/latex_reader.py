"""Reads the LaTeX of an answer; nothing is ever executed."""

from dopsd.task.grading.latex_names import STAND_INS
from dopsd.task.grading.latex_parser import LatexParser
from dopsd.task.grading.latex_tokens import tokens_of
from dopsd.task.grading.latex_value import Group, Value


class UnreadError(ValueError):
    """An expression with something in it that mathematics knows but this reader does not."""

    def __init__(self, latex: str, names: frozenset[str]) -> None:
        super().__init__(f"{', '.join(sorted(names))} in {latex!r}")
        self.names = names


def read_latex(latex: str) -> Value:
    """The value of an expression; raises UnreadError, or ValueError for what is no expression.

    Whether something unread is an expression is seen with a plain operator or name in its place.
    """
    tokens = tokens_of(latex)
    unread = STAND_INS.keys() & set(tokens)
    tokens = [STAND_INS.get(token, token) for token in tokens]
    try:
        values = [LatexParser(variant).whole() for variant in _signs(tokens)]
    except RecursionError as error:
        raise ValueError("too deep") from error
    if unread:
        raise UnreadError(latex, frozenset(unread))
    return values[0] if len(values) == 1 else _either(values)


def _signs(tokens: list[str]) -> list[list[str]]:
    """The expression once, or with \\pm as plus and as minus."""
    if "\\pm" not in tokens and "\\mp" not in tokens:
        return [tokens]
    pairs = ({"\\pm": "+", "\\mp": "-"}, {"\\pm": "-", "\\mp": "+"})
    return [[pair.get(token, token) for token in tokens] for pair in pairs]


def _either(values: list[Value]) -> Group:
    """The different values of both signs, as one list."""
    items: list[Value] = []
    for value in values:
        parts = value.items if isinstance(value, Group) and value.kind in ("list", "{}") else (value,)
        items += [part for part in parts if part not in items]
    return Group("list", tuple(items))
