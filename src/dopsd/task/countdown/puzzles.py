"""Generated Countdown puzzles, all of them solvable, with a worked solution."""

from collections.abc import Iterator
from functools import cache
from itertools import combinations_with_replacement
from math import comb
from random import Random

from dopsd.task.answer import write_response
from dopsd.task.countdown.expression import Expression, all_expressions, check_operations, random_worked
from dopsd.task.source.held_out import SHARES, split_of_text
from dopsd.task.source.row import Record
from dopsd.task.source.source import Source
from dopsd.task.task import SPLITS, Split, check_integer

_ENUMERABLE = 1 << 23  # work beyond which puzzles are sampled and not enumerated
_UNLIMITED = 16_384  # train puzzles where neither a number is asked for nor the enumeration ends

Puzzle = tuple[tuple[int, ...], Expression]
"""The numbers, and one way to reach the target."""


class CountdownPuzzles(Source):
    """A puzzle's split depends on its numbers and target, never on the seed."""

    def __init__(
        self,
        *,
        seed: int,
        numbers: int,
        max_number: int,
        operations: str,
        max_target: int,
        train: int | None,
        dev: int,
        test: int,
    ) -> None:
        """Raises ValueError for a value out of range; `train=None` takes every training puzzle there is."""
        check_integer("task.seed", seed, 0)
        check_integer("task.numbers", numbers, 2, 6)
        check_integer("task.max_number", max_number, 2, 1000)
        check_integer("task.max_target", max_target, 1, 100_000)
        for key, size in (("train", train), ("dev", dev), ("test", test)):
            if size is not None:
                check_integer(f"task.{key}", size, 1)
        check_operations("task.operations", operations)
        self.seed, self.numbers, self.max_number = seed, numbers, max_number
        self.operations, self.max_target = operations, max_target
        self.sizes = {"train": train, "dev": dev, "test": test}

    def rows(self, split: Split) -> list[Record]:
        """The puzzles of one split, in an order drawn from the seed; ValueError where there are too few."""
        random = Random(f"countdown {self.seed} {split}")
        puzzles = self._enumerated(split, random) if self._is_enumerable else self._sampled(split, random)
        return [self._row(*puzzle, random) for puzzle in puzzles]

    @property
    def _is_enumerable(self) -> bool:
        return comb(self.max_number + self.numbers - 1, self.numbers) * 16**self.numbers <= _ENUMERABLE

    def _enumerated(self, split: Split, random: Random) -> list[Puzzle]:
        everything = _all_puzzles(self.numbers, self.max_number, self.operations, self.max_target)
        puzzles, size = list(everything[split]), self.sizes[split]
        random.shuffle(puzzles)
        if size is not None and size > len(puzzles):
            self._refuse(split, len(puzzles))
        return puzzles[:size]

    def _sampled(self, split: Split, random: Random) -> list[Puzzle]:
        size = self.sizes[split] or _UNLIMITED
        found: dict[tuple[tuple[int, ...], int], Expression] = {}
        for numbers, expression in self._draws(random, attempts=400 * size + 10_000):
            key = numbers, int(expression.value)
            if split_of(*key) == split and key not in found:
                found[key] = expression
                if len(found) == size:
                    break
        else:
            self._refuse(split, len(found))
        return [(numbers, expression) for (numbers, _), expression in found.items()]

    def _draws(self, random: Random, attempts: int) -> Iterator[Puzzle]:
        for _ in range(attempts):
            numbers = tuple(sorted(random.randint(1, self.max_number) for _ in range(self.numbers)))
            expression = random_worked(numbers, self.operations, random)
            if expression is not None and 1 <= expression.value <= self.max_target:
                yield numbers, expression

    def _refuse(self, split: Split, available: int) -> None:
        raise ValueError(f"task.{split}={self.sizes[split]}: these settings give at most {available} puzzles")

    def _row(self, numbers: tuple[int, ...], expression: Expression, random: Random) -> Record:
        shown = random.sample(numbers, len(numbers))
        values = {"numbers": shown, "target": int(expression.value), "worked": worked_response(expression)}
        return Record(values=values, where="generated")


@cache
def _all_puzzles(
    numbers: int, max_number: int, operations: str, max_target: int
) -> dict[Split, tuple[Puzzle, ...]]:
    """Every solvable puzzle, by its split; the jobs of a sweep share them."""
    found: dict[Split, list[Puzzle]] = {split: [] for split in SPLITS}
    for drawn in combinations_with_replacement(range(1, max_number + 1), numbers):
        for target, expressions in sorted(all_expressions(drawn, operations).items()):
            if 1 <= target <= max_target:
                found[split_of(drawn, target)].append((drawn, expressions[0]))
    return {split: tuple(puzzles) for split, puzzles in found.items()}


def worked_response(expression: Expression) -> str:
    """The response that shows its steps."""
    return write_response(", ".join(expression.steps), expression.text)


def split_of(numbers: tuple[int, ...], target: int) -> Split:
    """The split a puzzle belongs to, whatever the settings, the seed and the order of its numbers."""
    return split_of_text(f"{sorted(numbers)} {target}", SHARES)
