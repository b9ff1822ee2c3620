"""Tables, figure, numbers and samples of the runs of opdlm.py, in experiments/opdlm."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from main_table import curve
from main_table_report import in_percent
from matplotlib.figure import Figure
from parallelism import THRESHOLDS, draw_panel, points
from results import summaries, write_results
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dopsd.callbacks.sample_tables import KEY
from dopsd.figure import entitle
from dopsd.job.table import markdown
from dopsd.report.runs.arms import Arm
from dopsd.report.runs.bars import draw_bars
from dopsd.report.runs.curves import draw_panels

if TYPE_CHECKING:
    from opdlm import Part

HERE = Path(__file__).parent / "opdlm"
LOGGED = ("train/loss", "opdlm/teacher_nats")
OF = ("base", "best", "final")


def leave(parts: Mapping[str, "Part"]) -> None:
    """Tables, figure, numbers and samples of all that has ended."""
    done = {name: part for name, part in parts.items() if part.done}
    results = {name: results_of(part) for name, part in done.items()}
    runs = [run.directory for part in done.values() for arm in part.done for run in arm.ended]
    of_runs = summaries(run / "summary.json" for run in runs)
    write_results(HERE, "python experiments/opdlm.py tiny smollm2", of_runs, **results)
    (HERE / "table.md").write_text(
        "\n".join(f"### {name}\n\n{table(found)}" for name, found in results.items())
    )
    texts = [f"## {name}\n\n{samples(part.found('opdlm')[0].directory)}\n" for name, part in done.items()]
    (HERE / "samples.md").write_text("\n".join(texts))
    figure = Figure(figsize=(13, 7.5 * len(done)), layout="constrained")
    for (name, part), place in zip(
        done.items(), figure.subfigures(len(done), 1, squeeze=False)[:, 0], strict=True
    ):
        draw(place, part.done, results[name], f"{name}, {part.task[0]}")
    figure.savefig(HERE / "figure.png", dpi=130, format="png")


def results_of(part: "Part") -> dict[str, Any]:
    """All numbers."""
    decoding = ("cache=exact", f"eval_limit={part.at_thresholds}")
    return {
        "teacher": {split: part.teacher(split) for split in ("test", "dev")},
        "arms": [
            {
                "arm": arm.label,
                "typed": [typed.replace(f"{part.runs.parent}/", "runs/opdlm/") for typed in arm.setting],
                **{of: pooled and asdict(pooled) for of, pooled in arm.pooled.items()},
                **{name: told(arm, name) for name in LOGGED},
                "tokens": part.tokens(arm.label),
                "dev": {run.seed: curve(run.directory) for run in arm.ended},
                "at_thresholds": points(
                    part.runs / arm.label / "parallelism",
                    f"checkpoint={part.seeds_of(arm.label)}",
                    *decoding,
                ),
            }
            for arm in part.done
        ],
    }


def told(arm: Arm, name: str) -> list[float]:
    """What training logged in the first and in the last tenth of its steps, means over seeds."""
    runs = [[row[name] for row in run.curve if name in row] for run in arm.ended]
    ends = [(of[: max(1, len(of) // 10)], of[-max(1, len(of) // 10) :]) for of in runs if of]
    return [statistics.mean(map(statistics.mean, end)) for end in zip(*ends, strict=True)]


def table(results: Mapping[str, Any]) -> str:
    """A row an arm, below that of the teacher; then accuracy at thresholds."""
    rows = [["the autoregressive start", in_percent(results["teacher"]["test"]), "", "", "", "", ""]]
    for arm in results["arms"]:
        reached = [
            f"{100 * arm[of]['accuracy']:.1f} %" if arm[of]["low"] is None else in_percent(arm[of])
            for of in OF
        ]
        nats = [" -> ".join(f"{value:.3f}" for value in arm[name]) for name in LOGGED]
        rows.append([arm["arm"], *reached, *nats, f"{arm['tokens'] / 1e6:.2f}"])
    at = [
        [
            arm["arm"],
            *(f"{100 * p['accuracy']:.1f} at {p['tokens_per_forward']:.2f}" for p in arm["at_thresholds"]),
        ]
        for arm in results["arms"]
    ]
    head = ["", "before", "best on dev", "last", "loss, nats", "teacher, nats a token", "million tokens"]
    return f"{markdown(head, rows)}\n{markdown(['%, tokens a forward', 'one a step', *THRESHOLDS], at)}"


def draw(figure: Any, arms: Sequence[Arm], results: Mapping[str, Any], title: str) -> None:
    """Accuracy beside the teacher's, accuracy over tokens a forward, and below them what training logged."""
    above, below = figure.subfigures(2, 1, height_ratios=[3, 2])
    left, right = above.subfigures(1, 2)
    draw_bars(left, arms)
    left.axes[0].axvline(results["teacher"]["test"]["accuracy"], color="black", linestyle=":")
    entitle(left.axes[0], f"{title} (dotted: the autoregressive start)")
    draw_panel(right.subplots(), {arm["arm"]: arm["at_thresholds"] for arm in results["arms"]})
    draw_panels(below, arms, (*LOGGED, "eval/accuracy"))


def samples(run: Path) -> str:
    """Two answers to dev prompts at every evaluation."""
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"tensors": 0}).Reload()
    shown = [
        (event.step, event.tensor_proto.string_val[0].decode())
        for event in events.Tensors(f"{KEY}/text_summary")
    ]
    return "\n\n".join(
        f"### Step {step}\n\n" + "\n\n**".join(text.split("\n\n**")[:2]) for step, text in shown
    )
