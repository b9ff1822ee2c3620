"""Figures as SVG inside a page: its ink is the page's own, so that they are read on light and on dark paper."""

import re
from collections.abc import Callable
from io import StringIO
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

INK, LINES = "#010203", "#e6e6e6"
"""What stands for the page's ink, and for the lines that `plain` draws."""
_STYLE: dict[Any, Any] = {
    **{f"{what}.color": INK for what in ("text", "xtick", "ytick")},
    **{"axes.labelcolor": INK, "axes.edgecolor": INK, "svg.fonttype": "none", "font.size": 9},
    "text.parse_math": False,  # a label may have a $
}
COLORS = (
    *("#3b82c4", "#d9822b", "#2f9e6e", "#c2528b", "#8a6fd1", "#a58a12", "#2d9aa6", "#c0504d", "#808080"),
    *("#9c6b3f", "#6b8f2f"),
)
"""Of the arms: seen on white and on black."""


def svg(draw: Callable[[Figure], None], *, name: str, title: str, size: tuple[float, float]) -> Markup:
    """What `draw` draws on a figure of this size in inches; `name` keeps apart the parts of several in a page."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        text = _saved(figure)
    text = re.sub(r'(<g) id="[^"]*"', r"\1", text.replace(INK, "currentColor").replace(LINES, "var(--line)"))
    style = f'role="img" style="max-width:{96 * size[0]:.0f}px"'
    text = re.sub(r'<svg ([^>]*?)width="[^"]*"', rf"<svg \1{style}", text, count=1, flags=re.DOTALL)
    text = re.sub(r'(<svg [^>]*?) height="[^"]*"', r"\1", text, count=1, flags=re.DOTALL)
    return Markup(text.replace(">", Markup("><title>{}</title>").format(title), 1))


def _saved(figure: Figure) -> str:
    text = StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    whole = text.getvalue()
    return re.sub(r"<metadata>.*?</metadata>", "", whole[whole.index("<svg") :], flags=re.DOTALL)
