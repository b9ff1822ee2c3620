"""The answers that a logger shows during training are those of the evaluations on dev, read back from its files."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from command_line import QUICK, run, small_model
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dopsd.callbacks.sample_tables import log_samples
from dopsd.evaluation.decode import Evaluation, Sample
from dopsd.job import Examiner
from dopsd.job.metrics_file import MetricsFile
from dopsd.task import Countdown, Verdict

SETTINGS = (*QUICK, "task.max_number=6", "task.dev=10", "task.test=2", "model.init=random", "eval_limit=null")


@pytest.fixture
def evaluations(monkeypatch: pytest.MonkeyPatch) -> list[Evaluation]:
    """The evaluations on dev, as they are made; a verdict depends on a response's text."""
    made, examine = [], Examiner.__call__

    def examined(self: Examiner, student: Any, split: str, *given: Any, **named: Any) -> Evaluation:
        evaluation = examine(self, student, split, *given, **named)
        if split == "dev":
            made.append(evaluation)
        return evaluation

    def verdict(self: Countdown, example: object, response: str) -> Verdict:
        score = sum(map(ord, response)) % 4 / 4
        return Verdict(accepted=score > 0.5, score=score)

    monkeypatch.setattr(Examiner, "__call__", examined)
    monkeypatch.setattr(Countdown, "verdict", verdict)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    return made


@pytest.fixture
def trained(tmp_path: Path, capsys: pytest.CaptureFixture[str], evaluations: list[Evaluation]) -> Any:
    def train(logger: str) -> Path:
        where = (small_model(tmp_path / "model"), f"logger={logger}", f"hydra.run.dir={tmp_path / 'run'}")
        ran = run(capsys, "train", *SETTINGS, "max_steps=2", "lr=0.5", *where)
        assert ran.code == 0, ran.err
        assert [len(evaluation.samples) for evaluation in evaluations] == [10, 10, 10]
        return tmp_path / "run"

    return train


def test_wandb_has_a_table_at_every_evaluation(trained: Any, evaluations: list[Evaluation]) -> None:
    tables = list(trained("wandb").glob("wandb/offline-run-*/files/media/table/eval/*.table.json"))
    tables = [
        json.loads(file.read_text()) for file in sorted(tables, key=lambda file: file.stat().st_mtime_ns)
    ]
    assert len(tables) == 3
    for table, evaluation in zip(tables, evaluations, strict=True):
        assert table["columns"] == ["prompt", "response", "verdict", "score", "unmasked at"]
        rows = [row[:-1] for row in table["data"]]
        assert rows == [[s.prompt, s.response, s.verdict, s.score] for s in evaluation.samples[:8]]
        for sample, (*_, order) in zip(evaluation.samples, table["data"], strict=False):
            steps = [int(step) for step in re.findall(r"\[(\d+)\](?= |$)", order)]
            assert steps == list(sample.steps)
            assert len(steps) == sample.tokens
            assert set(steps[:4]) <= {0, 1}  # two steps a block
            assert set(steps[4:]) <= {2, 3}


def test_tensorboard_has_a_text_at_every_evaluation(trained: Any, evaluations: list[Evaluation]) -> None:
    events = EventAccumulator(str(trained("tensorboard") / "tensorboard"))
    events.Reload()
    texts = events.Tensors("eval/samples/text_summary")
    assert [text.step for text in texts] == [0, 1, 2]
    for text, evaluation in zip(texts, evaluations, strict=True):
        shown = text.tensor_proto.string_val[0].decode()
        for sample in evaluation.samples[:8]:
            assert f"**{sample.verdict}, score {sample.score:.2f}**" in shown
            for line in (*sample.prompt.splitlines(), *sample.response.splitlines()):
                assert f"    {line}" in shown
        assert shown.count("response:\n\n") == 8


def test_other_loggers_are_left_alone(tmp_path: Path) -> None:
    sample = Sample(
        id="1",
        prompt="",
        gold="",
        response="",
        extracted=None,
        verdict="wrong",
        accepted=False,
        score=0.0,
        metrics={"correct": 0.0},
        answer=(),
        forwards=1,
    )
    log_samples(MetricsFile(tmp_path / "metrics.csv", seconds=float), [vars(sample)], 1)
    assert list(tmp_path.iterdir()) == []
