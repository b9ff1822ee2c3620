"""Countdown: combine all the given numbers into an expression that equals the target."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dopsd.task.countdown.expression import OPERATIONS, Expression, all_expressions
from dopsd.task.countdown.gold import CountdownGold, countdown_gold
from dopsd.task.countdown.grading import GRADERS
from dopsd.task.countdown.puzzles import CountdownPuzzles, split_of
from dopsd.task.graders import GraderName
from dopsd.task.published_data import SourceName, open_source
from dopsd.task.row_task import RowTask
from dopsd.task.source.hub import Hub, HubSplit
from dopsd.task.source.row import Record, RowError
from dopsd.task.task import Example

INSTRUCTION = (
    "Write an expression that equals the target. Use every given number exactly once, the operators "
    "{operators} and brackets where needed. Work it out step by step between <reasoning> and </reasoning>, "
    "then give only the expression as <answer>\\boxed{{expression}}</answer>."
)
GENERATED_OPERATIONS = "+-"
_NUMBERS = ("numbers", "nums", "input")
_TARGET = ("target", "output")
_HUB = HubSplit(name="Jiayi-Pan/Countdown-Tasks-3to4", split="train")


class Countdown(RowTask):
    """Puzzles from a generator (with worked solutions), from files or from the hub (without).

    Files have the columns input (`30,100,93`) and output, or numbers and target.
    """

    name = "countdown"
    fields = ("numbers", "target")
    graders = GRADERS

    def __init__(
        self,
        *,
        source: SourceName = "generated",
        path: str | None = None,
        limit: int | None = None,
        grader: GraderName = "strict",
        prompt_template: str | None = None,
        seed: int = 0,
        numbers: int = 3,
        max_number: int = 20,
        operations: str | None = None,
        max_target: int = 99,
        train: int | None = None,
        dev: int = 256,
        test: int = 1024,
    ) -> None:
        """Raises ValueError for a value out of range or data that cannot be read.

        `numbers`, `max_number`, `max_target`, `train` and `test` are of the generator, `dev` is of every source;
        `train=None` takes every training puzzle there is, `operations=None` is +- generated and +-*/ elsewhere.
        """
        grade = GRADERS.named("task.grader", grader)
        if operations is None:
            operations = GENERATED_OPERATIONS if source == "generated" else OPERATIONS
        puzzles = CountdownPuzzles(
            seed=seed,
            numbers=numbers,
            max_number=max_number,
            operations=operations,
            max_target=max_target,
            train=train,
            dev=dev,
            test=test,
        )
        self.seed, self.numbers, self.max_number = seed, numbers, max_number
        self.operations, self.max_target, self.sizes = operations, max_target, puzzles.sizes
        opened = open_source(
            source,
            path=path,
            dev=dev,
            columns=(_NUMBERS, _TARGET),
            key=_puzzle,
            others={"generated": lambda: puzzles, "hub": lambda: _hub(numbers, test)},
        )
        super().__init__(opened, limit=limit, grade=grade, prompt_template=prompt_template)

    def gold(self, row: Record) -> CountdownGold:
        """The numbers and the target."""
        return countdown_gold(row.get(*_NUMBERS), row.get(*_TARGET), self.operations)

    def prompt_fields(self, row: Record, gold: CountdownGold) -> Mapping[str, object]:
        """The numbers, with commas, and the target."""
        return {"numbers": ", ".join(map(str, gold.numbers)), "target": gold.target}

    def default_prompt(self, fields: Mapping[str, object]) -> str:
        """The user's message for one puzzle."""
        instruction = INSTRUCTION.format(operators=" ".join(self.operations))
        return f"{instruction}\nNumbers: {fields['numbers']}\nTarget: {fields['target']}"

    def prompt(self, numbers: tuple[int, ...], target: int) -> str:
        """The user's message for one puzzle, its numbers in the order given."""
        return self.prompt_with({"numbers": ", ".join(map(str, numbers)), "target": target})

    def stem(self, row: Record, gold: CountdownGold) -> str:
        """The puzzle."""
        return f"{'-'.join(map(str, sorted(gold.numbers)))}={gold.target}"

    def solution(self, row: Record, gold: Any) -> str | None:
        """The steps, where the puzzle was generated with them."""
        return row.values.get("worked")

    def solutions(self, example: Example) -> list[Expression]:
        """Every worked expression of a puzzle, the shortest first; slow beyond four numbers."""
        gold = example.gold
        return all_expressions(gold.numbers, self.operations)[gold.target]


def _puzzle(row: Record) -> str:
    gold = countdown_gold(row.get(*_NUMBERS), row.get(*_TARGET))
    return f"{sorted(gold.numbers)} {gold.target}"


def _hub(numbers: int, test: int) -> Hub:
    """The field's set with that many numbers; it comes in one piece, whose test share is that of our own puzzles.

    A row that is no puzzle stays in train, for the task to leave out.
    """

    def is_in(row: Mapping[str, Any], *splits: str) -> bool:
        try:
            gold = countdown_gold(row["nums"], row["target"])
        except RowError:
            return "train" in splits
        return len(gold.numbers) == numbers and split_of(gold.numbers, gold.target) in splits

    train = replace(_HUB, keep=lambda row: is_in(row, "train", "dev"))
    tested = replace(_HUB, keep=lambda row: is_in(row, "test"))
    return Hub({"train": [train], "test": [tested]}, most={"test": test}, key=_puzzle)
