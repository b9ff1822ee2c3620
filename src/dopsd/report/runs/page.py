"""The report on runs as one page that needs nothing else: figures inside, one small script that chooses an axis."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from dopsd.report.page import STYLE
from dopsd.report.runs.arms import Arm
from dopsd.report.runs.bars import bars_size, draw_bars
from dopsd.report.runs.curves import (
    ACCURACY,
    draw_accuracy,
    draw_overlap,
    draw_panels,
    logged_names,
    panels_size,
)
from dopsd.report.runs.overlaps import Overlaps
from dopsd.report.runs.parts import Part, states_of
from dopsd.report.runs.svg import svg
from dopsd.report.shown import ShownAnswers, shown_answers

_ANSWERS = 6  # arms whose answers stand side by side


def page(
    parts: Sequence[Part],
    overlaps: Sequence[Overlaps],
    *,
    title: str,
    axes: Sequence[str],
    chosen: str,
    left_out: str,
) -> str:
    """HTML; `axes` are the names of a budget that curves can be seen over, `chosen` is the first to be."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    runs = [run for part in parts for arm in part.arms for run in arm.runs]
    return environment.get_template("page.html").render(
        title=title,
        style=Markup(STYLE),
        states=", ".join(f"{count} {state}" for state, count in states_of(runs).items())
        or "no runs, only probes",
        chosen=chosen,
        parts=[_shown(part, axes) for part in parts],
        overlaps=[{"table": of.table, "figure": _overlap(of)} for of in overlaps],
        left_out=left_out,
    )


def _shown(part: Part, axes: Sequence[str]) -> dict[str, Any]:
    has_curves = any(ACCURACY in row for arm in part.arms for run in arm.runs for row in run.curve)
    return {
        "title": part.title,
        "arms": part.arms_table,
        "pairs": part.pairs_table,
        "runs": part.runs_table,
        "bars": _bars(part) if any(arm.ended for arm in part.arms) else None,
        "curves": {axis: _curve(part, axis) for axis in axes} if has_curves else {},
        "logged": _panels(part),
        "answers": _answers(part.arms, part.weights),
    }


def _bars(part: Part) -> Markup:
    def draw(figure: Figure) -> None:
        draw_bars(figure, part.arms)

    return svg(draw, name=f"{part.task} bars", title="accuracy on test", size=bars_size(part.arms))


def _curve(part: Part, axis: str) -> Markup:
    def draw(figure: Figure) -> None:
        draw_accuracy(figure, part.arms, axis)

    return svg(draw, name=f"{part.task} {axis}", title=f"dev accuracy over {axis}", size=(8.5, 3.6))


def _panels(part: Part) -> Markup | None:
    names = logged_names([arm for arm in part.arms if arm.ended])
    if not names:
        return None

    def draw(figure: Figure) -> None:
        draw_panels(figure, part.arms, names)

    return svg(draw, name=f"{part.task} logged", title="what training logged", size=panels_size(names))


def _overlap(of: Overlaps) -> Markup:
    def draw(figure: Figure) -> None:
        draw_overlap(figure.subplots(), of.by_step)

    return svg(draw, name=f"{of.task} overlap", title="overlap over denoising steps", size=(8.5, 3.6))


def _answers(arms: Sequence[Arm], weights: str) -> Markup | None:
    first = [(arm, arm.ended[0]) for arm in arms if arm.ended][:_ANSWERS]
    kept = [(arm.label, answers) for arm, run in first if (answers := run.answers(weights))]
    if first and (base := first[0][1].answers("base")):
        kept.insert(0, ("before training", base))
    columns = [ShownAnswers.read(answers, title=label) for label, answers in kept]
    return Markup("".join(shown_answers(columns))) if columns else None
