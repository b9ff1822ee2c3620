"""MATH, with the 500 problems of MATH500 held out as test."""

from dopsd.task.answer import last_boxed, write_response
from dopsd.task.graders import GraderName
from dopsd.task.math500.grading import GRADERS, math_gold
from dopsd.task.published_data import open_source
from dopsd.task.question import QuestionTask, question_of
from dopsd.task.source.hub import Hub, HubSplit
from dopsd.task.source.row import Record, text_of

_INSTRUCTION = (
    "Solve this mathematics problem. Work it out step by step between <reasoning> and </reasoning>, "
    "then give only the final answer, in LaTeX where it is no plain number, as <answer>\\boxed{answer}</answer>."
)
_MATH = "EleutherAI/hendrycks_math"
_SUBJECTS = (
    *("algebra", "counting_and_probability", "geometry", "intermediate_algebra", "number_theory"),
    *("prealgebra", "precalculus"),
)


class Math500(QuestionTask):
    """Rows of problem and solution; the answer is a column of its own or the last box of the solution."""

    name = "math500"
    instruction = _INSTRUCTION
    graders = GRADERS

    def __init__(
        self,
        *,
        source: str = "hub",
        path: str | None = None,
        dev: int = 500,
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
            columns=(("problem", "question"), ("answer", "solution")),
            key=question_of,
            others={"hub": _hub},
        )
        super().__init__(opened, limit=limit, grade=grade, prompt_template=prompt_template)

    def gold(self, row: Record) -> str:
        """The answer in LaTeX."""
        answer = row.optional("answer")
        return math_gold(last_boxed(str(row.optional("solution"))) if answer is None else answer)

    def solution(self, row: Record, gold: str) -> str | None:
        """The worked solution in the response format, the answer boxed only at its end."""
        worked = row.optional("solution") or None
        return None if worked is None else write_response(_unboxed(text_of(worked, "solution")), gold)


def _unboxed(text: str) -> str:
    """The text with what stands in its boxes and without the boxes."""
    opened = text.rfind("\\boxed{")
    while opened >= 0:
        start, depth = opened + len("\\boxed{"), 1
        end = start
        while depth and end < len(text):
            depth += (text[end] == "{") - (text[end] == "}")
            end += 1
        text = text[:opened] + text[start : end - (depth == 0)] + text[end:]
        opened = text.rfind("\\boxed{", 0, opened)
    return text


def _hub() -> Hub:
    """All of MATH but MATH500; what stands in test is taken out of train wherever rows come from."""
    everything = [
        HubSplit(name=_MATH, configuration=subject, split=split)
        for subject in _SUBJECTS
        for split in ("train", "test")
    ]
    return Hub(
        {"train": everything, "test": [HubSplit(name="HuggingFaceH4/MATH-500", split="test")]},
        key=question_of,
    )
