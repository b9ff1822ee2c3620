"""Arithmetic: sums and short word problems, on which a model of a hundred million parameters can be measured."""

from collections.abc import Mapping
from fractions import Fraction

from dopsd.task.arithmetic.grading import GRADERS
from dopsd.task.arithmetic.problems import ArithmeticProblems
from dopsd.task.graders import GraderName
from dopsd.task.source.row import Record
from dopsd.task.word_problems.task import WordProblems


class Arithmetic(WordProblems):
    """Problems of up to `steps` steps, a share of them told as stories, with their working."""

    name = "arithmetic"
    graders = GRADERS
    instruction = "Write the calculation, then the number."

    def __init__(
        self,
        *,
        limit: int | None = None,
        grader: GraderName = "strict",
        prompt_template: str | None = None,
        seed: int = 0,
        steps: int = 1,
        operations: str = "+-*",
        max_number: int = 10,
        story_share: float = 0.3,
        train: int = 1024,
        dev: int = 128,
        test: int = 256,
    ) -> None:
        """Raises ValueError for a value out of range."""
        grade = GRADERS.named("task.grader", grader)
        source = ArithmeticProblems(
            seed=seed,
            steps=steps,
            operations=operations,
            max_number=max_number,
            story_share=story_share,
            train=train,
            dev=dev,
            test=test,
        )
        super().__init__(source, limit=limit, grade=grade, prompt_template=prompt_template)

    def default_prompt(self, fields: Mapping[str, object]) -> str:
        """The problem, and how to answer."""
        return f"{fields['question']} {self.instruction}"

    def solution(self, row: Record, gold: Fraction) -> str:
        """Each step as an equation, and the answer."""
        return f"{row.get('working')} The answer is {gold}."
