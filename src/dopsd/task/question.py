"""What the tasks of mathematics have in common: a row is a question, and the prompt is an instruction and that."""

from collections.abc import Mapping
from typing import Any

from dopsd.task.row_task import RowTask
from dopsd.task.source.held_out import drawn
from dopsd.task.source.row import Record, text_of


class QuestionTask(RowTask):
    """Rows with a question."""

    instruction: str
    fields = ("question",)

    def prompt_fields(self, row: Record, gold: Any) -> Mapping[str, object]:
        """The question."""
        return {"question": question_of(row)}

    def default_prompt(self, fields: Mapping[str, object]) -> str:
        """The user's message for one problem."""
        return f"{self.instruction}\nProblem: {fields['question']}"

    def stem(self, row: Record, gold: Any) -> str:
        """A digest of the question: the same in every file and format."""
        return drawn(question_of(row)).hex()


def question_of(row: Record) -> str:
    """The question, which some files call the problem; raises RowError where it is no text."""
    return text_of(row.get("problem", "question"), "question")
