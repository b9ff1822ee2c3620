"""GSM8K: the benchmark of word problems."""

from dopsd.task.graders import GraderName
from dopsd.task.published_data import open_source
from dopsd.task.question import question_of
from dopsd.task.source.hub import Hub, HubSplit
from dopsd.task.source.source import Part
from dopsd.task.word_problems.grading import GRADERS
from dopsd.task.word_problems.task import WordProblems


class GSM8K(WordProblems):
    """The benchmark, from the hub or from files."""

    name = "gsm8k"

    def __init__(
        self,
        *,
        source: str = "hub",
        path: str | None = None,
        dev: int = 512,
        limit: int | None = None,
        grader: GraderName = "strict",
        prompt_template: str | None = None,
    ) -> None:
        """Raises ValueError for a value out of range or data that cannot be read."""
        grade = GRADERS.named("task.grader", grader)
        opened = open_source(
            source,
            path=path,
            dev=dev,
            columns=(("question",), ("answer",)),
            key=question_of,
            others={"hub": _hub},
        )
        super().__init__(opened, limit=limit, grade=grade, prompt_template=prompt_template)


def _hub() -> Hub:
    parts: dict[Part, list[HubSplit]] = {
        "train": [HubSplit(name="openai/gsm8k", configuration="main", split="train")],
        "test": [HubSplit(name="openai/gsm8k", configuration="main", split="test")],
    }
    return Hub(parts, key=question_of)
