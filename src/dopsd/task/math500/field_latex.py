"""The LaTeX that the field compares: one spelling for what the MATH benchmark's own normalisation holds equal.

Everything here works on text; two answers count as equal where their spellings are the same string.
"""

import re

_SPELLINGS = (
    *(("\n", ""), ("\\!", ""), ("\\\\", "\\"), ("tfrac", "frac"), ("dfrac", "frac"), ("\\left", "")),
    *(("\\right", ""), ("^{\\circ}", ""), ("^\\circ", ""), ("\\$", "")),
)
_POINTS = (("\\%", ""), (" .", " 0."), ("{.", "{0."))
_BARE_ROOT = re.compile(r"\\sqrt([^{])")
_SLASH = re.compile(r"(0|-?[1-9][0-9]*)/(0|-?[1-9][0-9]*)")
_UNIT = "\\text{ "


def same_spelling(answer: str, gold: str) -> bool:
    """Whether the field holds the two equal; what it cannot respell is compared as it stands."""
    try:
        return respelled(answer) == respelled(gold)
    except ValueError:
        return answer == gold


def respelled(latex: str) -> str:
    """The one spelling of an expression; raises ValueError where the field's own reading breaks off."""
    for old, new in _SPELLINGS:
        latex = latex.replace(old, new)
    latex = _without_unit(latex)
    for old, new in _POINTS:
        latex = latex.replace(old, new)
    if latex.startswith("."):
        latex = "0" + latex
    latex = _without_name(latex)
    if latex.endswith("\\sqrt") or "\\sqrt\\sqrt" in latex:
        raise ValueError("a root of nothing")
    latex = _BARE_ROOT.sub(r"\\sqrt{\1}", latex).replace(" ", "")
    latex = _with_braces(latex)
    return _with_fraction("\\frac{1}{2}" if latex == "0.5" else latex)


def _without_unit(latex: str) -> str:
    """Without a unit behind the value, which MATH writes as a text that begins with a space."""
    value, *units = latex.split(_UNIT)
    if len(units) > 1:
        raise ValueError("more than one unit")
    return value


def _without_name(latex: str) -> str:
    """Without `x=` or the like."""
    name, equals, value = latex.partition("=")
    return value if equals and len(name) <= 2 and "=" not in value else latex


def _with_braces(latex: str) -> str:
    """\\frac12 as \\frac{1}{2}."""
    first, *rest = latex.split("\\frac")
    written = [first]
    for part in rest:
        if not part:
            raise ValueError("a fraction of nothing")
        if part.startswith("{"):
            written.append(part)
        elif len(part) == 1:
            return latex
        else:
            below = part[1] if part[1] == "{" else f"{{{part[1]}}}"
            written.append(f"{{{part[0]}}}{below}{part[2:]}")
    return "\\frac".join(written)


def _with_fraction(latex: str) -> str:
    """3/4 as \\frac{3}{4}, where it is the whole of it."""
    if latex.count("/") != 1:
        return latex
    found = _SLASH.fullmatch(latex)
    if found is None:
        above, _, below = latex.partition("/")
        for side in (above, below):
            int(side)  # the field gives up on what is no integer, and keeps 03/4 as it is
        return latex
    return f"\\frac{{{found[1]}}}{{{found[2]}}}"
