"""Countdown: combine all the given numbers into an expression that equals the target."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import combinations_with_replacement
from math import comb
from random import Random

from dopsd.task.answer import read_answer, write_response
from dopsd.task.arithmetic import evaluate
from dopsd.task.expression import OPERATIONS, Expression, all_expressions, check_operations, random_worked
from dopsd.task.task import SPLITS, Example, Split, Task, Verdict, check_integer, check_split

INSTRUCTION = (
    "Write an expression that equals the target. Use every given number exactly once, the operators "
    "{operators} and brackets where needed. Work it out step by step between <reasoning> and </reasoning>, "
    "then give only the expression as <answer>\\boxed{{expression}}</answer>."
)
SHARES = {"train": 0.60, "dev": 0.15, "test": 0.25}
_ENUMERABLE = 1 << 23  # work beyond which puzzles are sampled and not enumerated
_UNLIMITED = 16_384  # train puzzles where neither a number is asked for nor the enumeration ends


@dataclass(frozen=True, kw_only=True, slots=True)
class CountdownGold:
    """What a response is judged by: the numbers as shown, the target and the operators allowed."""

    numbers: tuple[int, ...]
    target: int
    operations: str = OPERATIONS


class Countdown(Task):
    """Generated solvable puzzles; a puzzle's split depends on its numbers and target, never on the seed."""

    name = "countdown"

    def __init__(
        self,
        *,
        seed: int = 0,
        numbers: int = 3,
        max_number: int = 12,
        operations: str = "+-*",
        max_target: int = 99,
        train: int | None = None,
        dev: int = 256,
        test: int = 900,
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
        self._examples: dict[str, list[Example]] = {}

    def examples(self, split: Split) -> list[Example]:
        """The puzzles of one split, in an order drawn from the seed; ValueError where there are too few."""
        check_split(split)
        if split not in self._examples:
            random = Random(f"countdown {self.seed} {split}")
            puzzles = self._enumerated(split, random) if self._is_enumerable else self._sampled(split, random)
            self._examples[split] = [self._example(split, *puzzle, random) for puzzle in puzzles]
        return self._examples[split]

    def verdict(self, example: Example, response: str) -> Verdict:
        """Accepted where the last answer uses each number once and equals the target exactly."""
        return judge(example.gold, response)

    def prompt(self, numbers: tuple[int, ...], target: int) -> str:
        """The user's message for one puzzle, its numbers in the order given."""
        instruction = INSTRUCTION.format(operators=" ".join(self.operations))
        return f"{instruction}\nNumbers: {', '.join(map(str, numbers))}\nTarget: {target}"

    def solutions(self, example: Example) -> list[Expression]:
        """Every worked expression of a puzzle, the shortest first; slow beyond four numbers."""
        gold = example.gold
        return all_expressions(gold.numbers, self.operations)[gold.target]

    @property
    def _is_enumerable(self) -> bool:
        return comb(self.max_number + self.numbers - 1, self.numbers) * 16**self.numbers <= _ENUMERABLE

    @cached_property
    def _puzzles(self) -> dict[str, list[tuple[tuple[int, ...], Expression]]]:
        found = {split: [] for split in SPLITS}
        for numbers in combinations_with_replacement(range(1, self.max_number + 1), self.numbers):
            for target, expressions in sorted(all_expressions(numbers, self.operations).items()):
                if 1 <= target <= self.max_target:
                    found[split_of(numbers, target)].append((numbers, expressions[0]))
        return found

    def _enumerated(self, split: Split, random: Random) -> list[tuple[tuple[int, ...], Expression]]:
        puzzles, size = list(self._puzzles[split]), self.sizes[split]
        random.shuffle(puzzles)
        if size is not None and size > len(puzzles):
            self._refuse(split, len(puzzles))
        return puzzles[:size]

    def _sampled(self, split: Split, random: Random) -> list[tuple[tuple[int, ...], Expression]]:
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

    def _draws(self, random: Random, attempts: int) -> Iterator[tuple[tuple[int, ...], Expression]]:
        for _ in range(attempts):
            numbers = tuple(sorted(random.randint(1, self.max_number) for _ in range(self.numbers)))
            expression = random_worked(numbers, self.operations, random)
            if expression is not None and 1 <= expression.value <= self.max_target:
                yield numbers, expression

    def _refuse(self, split: Split, available: int) -> None:
        raise ValueError(f"task.{split}={self.sizes[split]}: these settings give at most {available} puzzles")

    def _example(
        self, split: Split, numbers: tuple[int, ...], expression: Expression, random: Random
    ) -> Example:
        target = int(expression.value)
        shown = tuple(random.sample(numbers, len(numbers)))
        return Example(
            id=f"{self.name}/{split}/{'-'.join(map(str, numbers))}={target}",
            prompt=self.prompt(shown, target),
            solution=worked_response(expression),
            gold=CountdownGold(numbers=shown, target=target, operations=self.operations),
        )


def worked_response(expression: Expression) -> str:
    """The response that shows its steps."""
    return write_response(", ".join(expression.steps), expression.text)


def split_of(numbers: tuple[int, ...], target: int) -> Split:
    """The split a puzzle belongs to, whatever the settings, the seed and the order of its numbers."""
    key = f"{sorted(numbers)} {target}".encode()
    position = int.from_bytes(blake2b(key, digest_size=8).digest(), "big") / 2**64
    if position < SHARES["train"]:
        return "train"
    return "dev" if position < SHARES["train"] + SHARES["dev"] else "test"


def judge(gold: CountdownGold, response: str) -> Verdict:
    """Judge any string against one puzzle by exact arithmetic."""
    try:
        result = evaluate(read_answer(response) or "")
    except ValueError:
        return Verdict(accepted=False, score=0.0)
    right = (
        result.value == gold.target
        and sorted(result.numbers) == sorted(gold.numbers)
        and result.operators <= set(gold.operations)
    )
    return Verdict(accepted=right, score=float(right))
