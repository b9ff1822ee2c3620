"""How figures look: a quiet frame, a title at the left."""

from textwrap import fill, shorten

from matplotlib.axes import Axes


def plain(*all_axes: Axes) -> None:
    """No box, horizontal lines only, behind the data."""
    for axes in all_axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
        axes.set_axisbelow(True)


def entitle(axes: Axes, title: str) -> None:
    """At most two lines above the axes."""
    axes.set_title(fill(shorten(title, 180), 95), loc="left", fontsize=10)
