"""A task whose examples are made from rows, wherever they come from."""

import logging
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dopsd.task.graders import Grader
from dopsd.task.prompt import PromptTemplate, read_template
from dopsd.task.source.held_out import drawn
from dopsd.task.source.row import Record, RowError, text_of
from dopsd.task.source.source import Source
from dopsd.task.task import Example, Split, Task, check_integer, check_split
from dopsd.task.verdict import Verdict

_LISTED = 20  # rows named in a warning

log = logging.getLogger(__name__)


class RowTask(Task):
    """Examples in the order of their rows; a row that cannot be used is left out and counted, with a warning."""

    fields: Sequence[str]  # what a prompt template must name

    def __init__(
        self, source: Source, *, limit: int | None, grade: Grader, prompt_template: str | None
    ) -> None:
        """`limit` keeps that many examples of each split, the same ones whatever the order of the rows."""
        if limit is not None:
            check_integer("task.limit", limit, 1)
        self.source, self.limit, self._grade = source, limit, grade
        self.template = None if prompt_template is None else read_template(prompt_template, self.fields)
        self._examples: dict[str, list[Example]] = {}
        self._left_out: dict[str, int] = {}

    def examples(self, split: Split) -> Sequence[Example]:
        """The examples of one split; raises ValueError where the source has none of them."""
        check_split(split)
        if split not in self._examples:
            rows = self.source.rows(split)
            left_out: list[str] = []
            examples = list(self._made(split, rows, left_out))
            self._warn(split, len(rows), left_out, examples)
            self._examples[split], self._left_out[split] = self._limited(examples), len(left_out)
        return self._examples[split]

    def left_out(self, split: Split) -> int:
        """The rows of a split whose question or gold answer cannot be read."""
        self.examples(split)
        return self._left_out[split]

    def verdict(self, example: Example, response: str) -> Verdict:
        """Judge the response with the task's grader."""
        return self._grade(example.gold, response)

    @abstractmethod
    def gold(self, row: Record) -> Any:
        """What a verdict needs; raises RowError where the row has nothing that can be read as such."""

    @abstractmethod
    def prompt_fields(self, row: Record, gold: Any) -> Mapping[str, object]:
        """What stands in a prompt, by the names in `fields`; raises RowError where it cannot be read."""

    @abstractmethod
    def default_prompt(self, fields: Mapping[str, object]) -> str:
        """The prompt in the project's own words."""

    @abstractmethod
    def stem(self, row: Record, gold: Any) -> str:
        """The end of an example's id: says which problem it is."""

    def solution(self, row: Record, gold: Any) -> str | None:
        """The worked solution, where the row has one; raises RowError where that cannot be read."""
        return None

    def prompt_with(self, fields: Mapping[str, object]) -> str:
        """The user's message: the template filled, or else the project's own words."""
        template: PromptTemplate | None = self.template
        return self.default_prompt(fields) if template is None else template.fill(fields)

    def _made(self, split: Split, rows: Sequence[Record], left_out: list[str]) -> Iterator[Example]:
        seen: Counter[str] = Counter()
        for row in rows:
            try:
                gold = self.gold(row)
                prompt = self.prompt_with(self.prompt_fields(row, gold))
                solution = self.solution(row, gold)
                if solution is not None:
                    text_of(solution, "solution")
            except RowError as error:
                left_out.append(f"{row.where}: {error}")
                continue
            stem = self.stem(row, gold)
            seen[stem] += 1
            repeat = f"#{seen[stem]}" if seen[stem] > 1 else ""
            identity = f"{self.name}/{split}/{stem}{repeat}"
            yield Example(id=identity, prompt=prompt, solution=solution, gold=gold)

    def _limited(self, examples: list[Example]) -> list[Example]:
        if self.limit is None or self.limit >= len(examples):
            return examples
        kept = set(sorted((example.id for example in examples), key=drawn)[: self.limit])
        return [example for example in examples if example.id in kept]

    def _warn(self, split: Split, rows: int, left_out: list[str], examples: list[Example]) -> None:
        if not left_out:
            return
        listed = "; ".join(left_out[:_LISTED])
        more = f"; and {len(left_out) - _LISTED} more" if len(left_out) > _LISTED else ""
        subject = f"task={self.name}: {len(left_out)} of {rows} {split} rows cannot be used"
        if not examples:
            raise ValueError(f"{subject}: {listed}{more}")
        log.warning("%s and are left out: %s%s", subject, listed, more)
