"""The views of a W&B workspace: ablations, a run, collapse, budgets. Needs the extra `dashboard`."""

from collections.abc import Sequence
from typing import Literal

from wandb_workspaces.reports.v2 import (  # pyright: ignore[reportMissingImports]
    BarPlot,
    Config,
    LinePlot,
    MediaBrowser,
    RunComparer,
)
from wandb_workspaces.workspaces import (  # pyright: ignore[reportMissingImports]
    Section,
    Workspace,
    WorkspaceSettings,
)

from dopsd.method.budget import BUDGET

_STEP = "training_step"
_ARM = Config("arm")  # what a run logs of its setting, the same for all seeds
_COLLAPSE = (
    *("distill/entropy", "distill/negative_share", "distill/clipped_fraction", "distill/top_k_overlap"),
    *("rollout/length", "rollout/no_end", "eval/accuracy", "guard/p", "guard/fell"),
)
_RUN = (
    *("train/loss", "train/gradient_norm", "train/lr", "rollout/accepted", "rollout/attempts"),
    *("perf/step_s", "perf/trajectories_per_s", "perf/peak_memory_gb"),
)


def workspace(*, entity: str, project: str, name: str) -> Workspace:
    """Nothing is sent: `save()` would."""
    ablations = [_bars(f"test/{weights}/accuracy") for weights in ("best", "final", "base")]
    return Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[
            _section("Ablations", [*ablations, _line("eval/accuracy", by_arm=True)]),
            _section("Run", [*map(_line, _RUN), _answers(), RunComparer(diff_only=True)]),
            _section("Collapse", [_line(key, by_arm=True) for key in _COLLAPSE]),
            _section("Budget", [_line("eval/accuracy", x=f"budget/{key}", by_arm=True) for key in BUDGET]),
        ],
        settings=WorkspaceSettings(x_axis=_STEP),
    )


def _section(name: str, panels: Sequence[BarPlot | LinePlot | MediaBrowser | RunComparer]) -> Section:
    return Section(name=name, panels=list(panels), is_open=True)


def _bars(metric: str) -> BarPlot:
    """The mean over the seeds of each arm, with its standard error: W&B draws no confidence interval."""
    return BarPlot(
        title=metric, metrics=[metric], groupby=_ARM, groupby_aggfunc="mean", groupby_rangefunc="stderr"
    )


def _line(metric: str, *, x: str = _STEP, by_arm: bool = False) -> LinePlot:
    of_arms: dict[str, Config | Literal["mean", "stderr"]] = {}
    if by_arm:
        of_arms = {"groupby": _ARM, "groupby_aggfunc": "mean", "groupby_rangefunc": "stderr"}
    over = "" if x == _STEP else f" over {x}"
    return LinePlot(title=f"{metric}{over}", x=x, y=[metric], smoothing_factor=0, **of_arms)  # pyright: ignore


def _answers() -> MediaBrowser:
    return MediaBrowser(title="answers on dev, with the order of unmasking", media_keys=["eval/samples"])
