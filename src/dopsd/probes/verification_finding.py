"""What came of toy verification: accuracy over rho, beside what the revealed answers themselves are worth."""

from dataclasses import asdict, dataclass
from typing import Any

from jaxtyping import Bool
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from dopsd.evaluation.interval import Interval
from dopsd.figure import entitle, plain
from dopsd.probes.probe import Finding

_ALL, _SOLVED, _CONTROL = "shown_accepted_answer", "prompts_with_one", "shown_first_try"
_CURVES = {  # in words, colour, marker, shift along x so that intervals do not cover each other
    _ALL: ("shown an accepted answer", "#1f5fa8", "o", 0.0),
    _SOLVED: ("of these, prompts that have one", "#8a5a00", "s", 0.006),
    _CONTROL: ("control: shown the first try", "#777777", "^", -0.006),
}


@dataclass(frozen=True, kw_only=True)
class VerificationFinding(Finding):
    """Which prompts came out right at each rho; the first rho is 0, plain decoding."""

    rhos: tuple[float, ...]
    max_attempts: int
    has_answer: Bool[Tensor, "N"]
    """Prompts of which one of `max_attempts` tries was accepted."""
    first_try: Bool[Tensor, "N"]
    """Prompts whose first try was accepted."""
    shown_answer: Bool[Tensor, "rhos N"]
    """With an accepted answer revealed; the other prompts are decoded plainly."""
    shown_first_try: Bool[Tensor, "rhos N"]
    """With the first try revealed, right or wrong: what revealing does where nothing was selected."""

    @property
    def curves(self) -> dict[str, list[Interval]]:
        """Accuracy at each rho, then that of the answers that were revealed.

        Prompts that have an accepted answer are easier: their curve is to be read against its own value at rho = 0.
        """
        rights = {_ALL: [*self.shown_answer, self.has_answer]}
        if self.has_answer.any():
            rights[_SOLVED] = [right[self.has_answer] for right in rights[_ALL]]
        rights[_CONTROL] = [*self.shown_first_try, self.first_try]
        return {
            name: [Interval.of(int(right.sum()), len(right)) for right in at_rhos]
            for name, at_rhos in rights.items()
        }

    def figures(self) -> dict[str, Any]:
        """The curves; pass@1 and pass@k are the first and the last value of the first one."""
        curves = self.curves
        return {
            "asked": len(self.has_answer),
            "max_attempts": self.max_attempts,
            "pass_at_1": asdict(curves[_ALL][0]),
            "pass_at_k": asdict(curves[_ALL][-1]),
            "rhos": list(self.rhos),
            "curves": {name: [asdict(at_rho) for at_rho in curve[:-1]] for name, curve in curves.items()},
            "revealed_answers": {name: asdict(curve[-1]) for name, curve in curves.items()},
        }

    def table(self) -> tuple[list[str], list[list[str]]]:
        """One line a rho."""
        curves = self.curves
        names = [f"{_CURVES[name][0]} (n = {curve[0].n})" for name, curve in curves.items()]
        shares = ["nothing (pass@1)", *(f"rho = {rho:g}" for rho in self.rhos[1:])]
        shares.append(f"all (pass@{self.max_attempts})")
        rows = [[share, *map(str, at)] for share, *at in zip(shares, *curves.values(), strict=True)]
        return ["revealed", *names], rows

    def draw(self, figure: Figure, title: str) -> None:
        """Accuracy over rho, and pass@k as the line to climb to."""
        figure.set_size_inches(7, 5)
        axes = figure.subplots()
        curves = self.curves
        pass_at_k = curves[_ALL][-1]
        axes.axhspan(pass_at_k.low, pass_at_k.high, color=_CURVES[_ALL][1], alpha=0.1, linewidth=0)
        label = f"pass@{self.max_attempts}"
        axes.axhline(
            pass_at_k.accuracy, color=_CURVES[_ALL][1], linewidth=1, linestyle=(0, (4, 3)), label=label
        )
        for name, curve in curves.items():
            words, colour, marker, shift = _CURVES[name]
            accuracies = [point.accuracy for point in curve[:-1]]
            below = [point.accuracy - point.low for point in curve[:-1]]
            above = [point.high - point.accuracy for point in curve[:-1]]
            axes.errorbar(
                [rho + shift for rho in self.rhos],
                accuracies,
                yerr=[below, above],
                color=colour,
                marker=marker,
                markersize=5,
                linewidth=1.3,
                capsize=2.5,
                label=f"{words} (n = {curve[0].n})",
            )
        axes.set_ylim(0, 1)
        axes.set_xticks(self.rhos, [f"{rho:g}" for rho in self.rhos])
        axes.set_xlabel("rho, share of the answer's tokens that the model is shown")
        axes.set_ylabel("accuracy, 95 % intervals")
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        figure.legend(fontsize=8.5, frameon=False, loc="outside lower center", ncols=2)
        entitle(axes, title)
        plain(axes)
