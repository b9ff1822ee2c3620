"""What a run leaves behind, and where."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from dopsd import ranks
from dopsd.config.errors import Interruption, UserError
from dopsd.config.paths import resume_command
from dopsd.config.saved import CONFIG, RESUME_POINT, WEIGHTS, written_out
from dopsd.evaluation.decode import Evaluation
from dopsd.evaluation.scores import Scores
from dopsd.files import write_text
from dopsd.job.metrics_file import read_metrics
from dopsd.report.answers import OF_A_RUN, SAMPLES, Answers

SUMMARY = "summary.json"


@dataclass(frozen=True)
class RunDirectory:
    """One run's files; only the first rank writes them."""

    path: Path

    @classmethod
    def open(cls, path: Path, config: DictConfig) -> "RunDirectory":
        """A directory with the config in it; raises UserError where there is a run already, unless that is resumed."""
        if ranks.of_first(config.resume is None and (path / CONFIG).exists()):
            raise UserError(f"hydra.run.dir={path}: holds another run; resume={path} goes on with it")
        path.mkdir(parents=True, exist_ok=True)
        run = cls(path)
        run._forget_results()
        whole = written_out(config)
        whole.resume = None
        run.write(CONFIG, OmegaConf.to_yaml(whole))
        return run

    def _forget_results(self) -> None:
        """What a resumed run will find anew: until then its weights may be others than these files speak of."""
        if ranks.is_first():
            for file in (self.path / SUMMARY, self.answers("best"), self.answers("final")):
                file.unlink(missing_ok=True)

    @property
    def metrics(self) -> Path:
        """One row a training step."""
        return self.path / "metrics.csv"

    @property
    def log(self) -> Path:
        """What the run has said, with the time."""
        return self.path / "train.log"

    @property
    def curve(self) -> Path:
        """The figure of the run."""
        return self.path / "curve.png"

    @property
    def resume_point(self) -> Path:
        """Everything that is needed to go on."""
        return self.path / RESUME_POINT

    @property
    def best_on_dev(self) -> float:
        """The best accuracy on dev so far; raises ValueError where there has been no evaluation."""
        return max(row["eval/accuracy"] for row in read_metrics(self.metrics) if "eval/accuracy" in row)

    def weights(self, which: str) -> Path:
        """The `best` (on dev) or the `final` weights."""
        return self.path / WEIGHTS / which

    def write(self, name: str, text: str) -> None:
        """A text file that is there as a whole or not at all."""
        if not ranks.is_first():
            return
        file = self.path / name
        file.parent.mkdir(exist_ok=True)
        write_text(file, text)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """A JSON file, the same way."""
        self.write(name, json.dumps(content, indent=2) + "\n")

    def answers(self, weights: str) -> Path:
        """The answers on test of a run's `base`, `best` or `final` weights."""
        return self.path / OF_A_RUN / f"{weights}.jsonl"

    def training_step(self, weights: str) -> int | None:
        """The training step of the `best` or the `final` weights; None as long as the run has no summary."""
        summary = self.summary
        return None if summary is None else summary[weights]["training_step"]

    @property
    def summary(self) -> dict[str, Any] | None:
        """What summary.json holds; None as long as the run has not ended. Raises UserError where it cannot be read."""
        file = self.path / SUMMARY
        try:
            return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None
        except (OSError, ValueError) as error:
            raise UserError(f"{file}: cannot be read ({error}); resume={self.path} makes it anew") from error

    def write_samples(
        self, evaluation: Evaluation, *, weights: str, training_step: int | None, file: Path | None = None
    ) -> None:
        """Decoded answers, one a line, in samples.jsonl or another file; each says whose it is."""
        whose = {"weights": weights, "training_step": training_step, "metric": evaluation.metric}
        self._write_lines(file or self.path / SAMPLES, [whose | it.as_dict() for it in evaluation.samples])

    def repeat_samples(self, weights: str, *, under: str) -> None:
        """Answers that are those of other weights as well: nothing is decoded twice."""
        if ranks.is_first():
            rows = Answers.read(self.answers(weights), weights).rows
            self._write_lines(self.answers(under), [{**row, "weights": under} for row in rows])

    def _write_lines(self, file: Path, lines: Iterable[Mapping[str, Any]]) -> None:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        self.write(str(file.relative_to(self.path)), text)

    def base_scores(self, measure: Callable[[], Evaluation]) -> Scores:
        """What the weights that the run starts from reach on test: decoded once in the life of a run."""
        file = self.answers("base")
        try:
            known = ranks.of_first(Answers.read(file, "base").scores if file.exists() else None)
        except ValueError as error:
            raise UserError(f"{file}: {error}; without it, it is decoded again") from error
        if known is not None:
            return known
        evaluation = measure()
        self.write_samples(evaluation, weights="base", training_step=0, file=file)
        return evaluation.scores

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Ctrl-C inside raises Interruption, which says where the files are and how to go on."""
        try:
            yield
        except KeyboardInterrupt:
            how = resume_command(self.path)
            raise Interruption(
                f"interrupted; the run's files are in {self.path}; go on with: {how}"
            ) from None
