"""What a run leaves behind, and where."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from dopsd import ranks
from dopsd.config.errors import Interruption, UserError
from dopsd.config.saved import CONFIG, RESUME_POINT, WEIGHTS, written_out
from dopsd.evaluation.decode import Sample
from dopsd.evaluation.interval import Interval


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
        whole = written_out(config)
        whole.resume = None
        run.write(CONFIG, OmegaConf.to_yaml(whole))
        return run

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

    def weights(self, which: str) -> Path:
        """The `best` (on dev) or the `final` weights."""
        return self.path / WEIGHTS / which

    def write(self, name: str, text: str) -> None:
        """A text file that is there as a whole or not at all."""
        if not ranks.is_first():
            return
        file = self.path / f".{name}.part"
        file.write_text(text, encoding="utf-8")
        os.replace(file, self.path / name)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """A JSON file, the same way."""
        self.write(name, json.dumps(content, indent=2) + "\n")

    def write_samples(self, samples: Iterable[Sample]) -> None:
        """Decoded answers, one a line."""
        lines = (json.dumps(sample.as_dict(), ensure_ascii=False) for sample in samples)
        self.write("samples.jsonl", "".join(line + "\n" for line in lines))

    def remembered(self, name: str, measure: Callable[[], Interval]) -> Interval:
        """An accuracy that is measured once in a run's life."""
        file = self.path / f"{name}.json"
        known = ranks.of_first(file.read_text(encoding="utf-8") if file.exists() else None)
        if known is not None:
            return Interval(**json.loads(known))
        measured = measure()
        self.write_json(file.name, asdict(measured))
        return measured

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Ctrl-C inside raises Interruption, which says where the files are and how to go on."""
        try:
            yield
        except KeyboardInterrupt:
            if self.resume_point.exists():
                how = f"go on with: python -m dopsd.train resume={self.path}"
            else:
                how = "it had not reached its first resume point"
            raise Interruption(f"interrupted; the run's files are in {self.path}; {how}") from None
