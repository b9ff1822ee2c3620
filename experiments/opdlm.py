"""From an autoregressive model to a block-diffusion model: `python experiments/opdlm.py tiny` (or smollm2; or both).

`tiny` starts from the autoregressive model of the embedded size, on Countdown: OPDLM and its arms; masked SFT on the
teacher's answers with the tokens that OPDLM spent; d-OPSD on top of the OPDLM run that was best on dev. Learning rates
are searched on dev with half of the steps. `smollm2`: SmolLM2-135M-Instruct on task=arithmetic, one run an arm. Typed
again, it goes on where it stopped; tables and figure of what has ended go to experiments/opdlm.
"""

import argparse
import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from main_table import DEV, LEARNING_RATES, SEARCHED_WITH, SEEDS, curve, ended, sweep
from opdlm_report import leave
from parallelism import decoded

from dopsd.job.found_runs import find_runs
from dopsd.job.run_directory import RunDirectory
from dopsd.report.runs.arms import Arm, arms_of
from dopsd.report.runs.run import Run

OPDLM = {
    "opdlm": (),
    "opdlm_random": ("masks=random",),
    "opdlm_next": ("reading=next",),
    "opdlm_end": ("end_token=included",),
}
MASKED_SFT, ON_TOP = "masked_sft", "dopsd"
ON_TOP_STEPS = 20  # the command's default
AS_SFT = ("method=sft", "source=teacher", "visible=block_causal", "reading=own", "tail=ignored")
SFT_STEPS, SFT_APART = 4, 2  # times those of OPDLM at most, and between evaluations: one spends fewer tokens


@dataclass(frozen=True, kw_only=True)
class Part:
    """A start and a task, what is run of it, and how much."""

    start: tuple[str, ...]
    task: tuple[str, ...]
    gen_length: int
    conversion: tuple[str, ...]  # typed for all that makes a block-diffusion model
    arms: tuple[str, ...]
    learning_rates: tuple[float, ...]
    seeds: str
    steps: int
    evaluations: int
    at_thresholds: int  # test problems
    eval_limit: int | None = None  # problems of every other evaluation
    runs: Path = Path("runs/opdlm")

    def run(self) -> None:
        """Whatever has not been run, two arms at a time; raises CalledProcessError where a run fails."""
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self.learn, [arm for arm in self.arms if arm in OPDLM]))
            list(pool.map(self.learn, [arm for arm in self.arms if arm not in OPDLM]))

    def learn(self, arm: str) -> None:
        """A search on dev, then the seeds with the best rate."""
        rates = LEARNING_RATES[1:-1] if arm == ON_TOP else self.learning_rates
        tried = {lr: self.on_dev(arm, lr) for lr in rates if len(rates) > 1}
        lr = max(tried, key=tried.__getitem__, default=rates[0])
        sweep(self.seeds_of(arm), f"seed={self.seeds}", *self.settings(arm, lr, part=1))

    def on_dev(self, arm: str, lr: float) -> tuple[float, float]:
        """The best accuracy on dev in a run of half the steps, and the last (which decides between equals)."""
        directory = self.runs / arm / f"search_lr={lr}"
        sweep(directory, f"seed={SEARCHED_WITH}", f"eval_limit={DEV}", *self.settings(arm, lr, part=2))
        reached = [point["accuracy"] for point in curve(directory)]
        return max(reached), reached[-1]

    def settings(self, arm: str, lr: float, *, part: int) -> tuple[str, ...]:
        """What a run is typed with but for its seed; a search has half of the steps (`part=2`)."""
        steps, every = max(1, self.steps // part), max(1, self.steps // self.evaluations)
        shared = (*self.task, f"lr={lr}", "block_length=4", "cache=exact", *self.limit)
        if arm == ON_TOP:
            on_top = f"max_steps={min(ON_TOP_STEPS, self.steps) // part}"
            return (*shared, f"init={self.best}", "lora=default", on_top, "eval_every=5")
        shared += (*self.start, *self.conversion)
        if arm != MASKED_SFT:
            limits = (f"max_steps={steps}", f"growing_steps={steps // 4}", f"eval_every={every}")
            return (*shared, "method=opdlm", *OPDLM[arm], *limits)
        limits = (f"max_steps={SFT_STEPS * steps}", f"stop_at.tokens={self.tokens('opdlm') / part:.0f}")
        return (*shared, *AS_SFT, *limits, f"eval_every={SFT_APART * every}")

    @property
    def limit(self) -> tuple[str, ...]:
        """What is typed for all but decoding at thresholds."""
        return () if self.eval_limit is None else (f"eval_limit={self.eval_limit}",)

    def seeds_of(self, arm: str) -> Path:
        """The runs that count."""
        return self.runs / arm / "seeds"

    def tokens(self, arm: str) -> float:
        """All that training has read and written, of the mean seed."""
        return statistics.mean(run.curve[-1]["budget/tokens"] for run in self.found(arm))

    @property
    def best(self) -> Path:
        """The OPDLM run that was best on dev."""
        runs = [run.directory for arm in self.arms if arm in OPDLM for run in self.found(arm)]
        return max(runs, key=lambda run: RunDirectory(run).best_on_dev)

    def found(self, arm: str) -> Sequence[Run]:
        """Its seeds."""
        return find_runs([self.seeds_of(arm)]).runs

    @property
    def done(self) -> list[Arm]:
        """The arms whose seeds have all ended."""
        there = [arm for arm in self.arms if ended(self.seeds_of(arm))]
        return [replace(pooled, label=arm) for arm in there for pooled in arms_of(self.found(arm))]

    def teacher(self, split: str) -> dict[str, Any]:
        """The start itself, read as it was trained: token after token."""
        alone = ("block_length=1", f"denoising_steps={self.gen_length}", "cache=exact", f"split={split}")
        settings = (*self.task, *self.start, f"gen_length={self.gen_length}", *alone, *self.limit)
        [row] = decoded(self.runs / "teacher" / split, *settings)
        return {name: row[name] for name in ("accuracy", "low", "high", "n")}


PARTS = {
    "tiny": Part(
        start=("model=tiny_ar",),
        task=("task=countdown",),
        gen_length=40,
        conversion=("lora=none", "logger=tensorboard"),
        arms=(*OPDLM, MASKED_SFT, ON_TOP),
        learning_rates=(3e-4, 1e-3, 3e-3),
        seeds=SEEDS,
        steps=200,
        evaluations=10,
        at_thresholds=256,
    ),
    "smollm2": Part(
        start=("model=smollm2_135m", "model.dtype=bfloat16"),
        task=("task=arithmetic", "task.train=2048", "gen_length=64", "denoising_steps=64"),
        gen_length=64,
        conversion=("prompts_per_step=16", "updates_per_rollout=4", "logger=tensorboard"),
        arms=("opdlm", "opdlm_next"),
        learning_rates=(3e-4,),
        seeds="1",
        steps=50,
        evaluations=2,
        at_thresholds=64,
        eval_limit=128,
    ),
}


def main() -> None:
    """Run what is asked for, then put together what there is of all parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--start", type=Path, help="a model of experiment=tiny_ar in place of model=tiny_ar")
    parser.add_argument("--runs", type=Path, default=Path("runs/opdlm"))
    parser.add_argument("--steps", type=int, help="of OPDLM (a trial)")
    parser.add_argument("--eval-limit", type=int, help="problems of every evaluation (a trial)")
    asked = parser.parse_args()
    parts = {name: replace(part, runs=(asked.runs / name).absolute()) for name, part in PARTS.items()}
    if asked.start:
        parts["tiny"] = replace(
            parts["tiny"], start=("model=tiny_ar", f"model.path={asked.start.absolute()}")
        )
    for name, part in parts.items():
        parts[name] = replace(
            part,
            steps=asked.steps or part.steps,
            eval_limit=asked.eval_limit or part.eval_limit,
            at_thresholds=asked.eval_limit or part.at_thresholds,
        )
    for name in asked.parts:
        parts[name].run()
    leave(parts)


if __name__ == "__main__":
    main()
