"""GSM-Symbolic: GSM8K's problems as templates, generated offline by the package reasoning-gym."""

from typing import Any

from dopsd.task.graders import GraderName
from dopsd.task.question import question_of
from dopsd.task.source.row import Record
from dopsd.task.source.source import Source
from dopsd.task.task import Split, check_integer
from dopsd.task.word_problems.grading import GRADERS
from dopsd.task.word_problems.task import WordProblems


class GSMSymbolic(WordProblems):
    """Word problems with worked solutions; needs the optional package reasoning-gym."""

    name = "gsm_symbolic"

    def __init__(
        self,
        *,
        seed: int = 0,
        train: int = 7000,
        dev: int = 512,
        test: int = 1319,
        limit: int | None = None,
        grader: GraderName = "strict",
        prompt_template: str | None = None,
    ) -> None:
        """Raises ValueError for a value out of range or where reasoning-gym is not installed."""
        grade = GRADERS.named("task.grader", grader)
        check_integer("task.seed", seed, 0)
        for key, size in (("train", train), ("dev", dev), ("test", test)):
            check_integer(f"task.{key}", size, 1)
        source = SymbolicProblems(seed=seed, train=train, dev=dev, test=test)
        super().__init__(source, limit=limit, grade=grade, prompt_template=prompt_template)


class SymbolicProblems(Source):
    """One numbered series: test, then dev, then train, which has none of the questions before it."""

    def __init__(self, *, seed: int, train: int, dev: int, test: int) -> None:
        """Raises ValueError where reasoning-gym is not installed."""
        self._bounds = {
            "test": (0, test),
            "dev": (test, test + dev),
            "train": (test + dev, test + dev + train),
        }
        self._problems = _problems(seed, test + dev + train)

    def rows(self, split: Split) -> list[Record]:
        """The problems of one split; a question that an earlier split has is left out."""
        start, stop = self._bounds[split]
        earlier = {question_of(self._row(index)) for index in range(start)}
        return [row for row in map(self._row, range(start, stop)) if question_of(row) not in earlier]

    def _row(self, index: int) -> Record:
        problem = self._problems[index]
        values = {"question": problem["question"], "answer": problem["metadata"]["answer_cot"]}
        return Record(values=values, where=f"gsm_symbolic problem {index}")


def _problems(seed: int, size: int) -> Any:
    try:
        import reasoning_gym  # noqa: PLC0415  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError(
            f"task=gsm_symbolic: needs the package reasoning-gym, pip install 'dopsd[gsm-symbolic]' ({error})"
        ) from error
    return reasoning_gym.create_dataset("gsm_symbolic", size=size, seed=seed)
