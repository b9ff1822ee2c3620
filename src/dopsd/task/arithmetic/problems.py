"""Generated problems of a few steps, as a sum or as a story, each with its working and a number as its answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import add, floordiv, mul, sub
from random import Random

from dopsd.task.countdown.expression import check_operations
from dopsd.task.source.held_out import SHARES, split_of_text
from dopsd.task.source.row import Record
from dopsd.task.source.source import Source
from dopsd.task.task import Split, check_integer, check_share

_NAMES = (
    "Ann",
    "Ben",
    "Cleo",
    "Dan",
    "Eva",
    "Finn",
    "Gina",
    "Hugo",
    "Iris",
    "Jack",
    "Kim",
    "Leo",
    "Mia",
    "Noah",
)
_THINGS = ("apples", "books", "cards", "coins", "eggs", "marbles", "pens", "shells", "stamps", "stickers")
_SUMS = ("What is {sum}?", "How much is {sum}?", "Calculate {sum}.", "Work out {sum}.")
_OPENINGS = {"": "{name} has {n} {things}.", "*": "{name} has {m} bags with {n} {things} in each bag."}
_EVENTS = {
    "+": ("{name} buys {n} more.", "{name} finds {n} more.", "{name} gets {n} more from a friend."),
    "-": ("{name} gives away {n} of them.", "{name} loses {n} of them.", "{name} sells {n} of them."),
    "/": ("{name} shares them equally among {n} friends.",),
}
_QUESTIONS = {
    **dict.fromkeys("+*", "How many {things} does {name} have in all?"),
    "-": "How many {things} does {name} have left?",
    "/": "How many {things} does each friend get?",
}
_OPERATIONS: dict[str, Callable[[int, int], int]] = {"+": add, "-": sub, "*": mul, "/": floordiv}
_TABLE = 9  # the largest first factor, and the largest divisor
_ATTEMPTS = 100  # draws for each problem that is wanted


@dataclass(frozen=True, kw_only=True)
class Calculation:
    """A number and what is done to it, one after the other: only the first step is a *, only the last a /."""

    start: int
    steps: tuple[tuple[str, int], ...]

    @property
    def text(self) -> str:
        """The sum in one line."""
        parts = [f"{operator} {number}" for operator, number in self.steps]
        before = " ".join([str(self.start), *parts[:-1]])
        needs_brackets = parts[-1].startswith("/") and len(parts) > 1
        return f"({before}) {parts[-1]}" if needs_brackets else f"{before} {parts[-1]}"

    @property
    def values(self) -> list[int]:
        """The value before and after each step."""
        found = [self.start]
        for operator, number in self.steps:
            found.append(_OPERATIONS[operator](found[-1], number))
        return found

    @property
    def working(self) -> str:
        """Each step as an equation."""
        steps = zip(self.values, self.steps, self.values[1:], strict=False)
        return " ".join(f"{value} {operator} {number} = {then}." for value, (operator, number), then in steps)

    def asked(self, random: Random) -> str:
        """It as a question."""
        return random.choice(_SUMS).format(sum=self.text)

    def told(self, random: Random) -> str:
        """It as something that happens."""
        words = {"name": random.choice(_NAMES), "things": random.choice(_THINGS)}
        first, last = self.steps[0], self.steps[-1]
        if first[0] == "*":
            lines, events = [_OPENINGS["*"].format(m=self.start, n=first[1], **words)], self.steps[1:]
        else:
            lines, events = [_OPENINGS[""].format(n=self.start, **words)], self.steps
        lines += [random.choice(_EVENTS[operator]).format(n=number, **words) for operator, number in events]
        return " ".join([*lines, _QUESTIONS[last[0]].format(**words)])


class ArithmeticProblems(Source):
    """A problem's split depends on its calculation alone: no sum of test stands in train in other words."""

    def __init__(
        self,
        *,
        seed: int,
        steps: int,
        operations: str,
        max_number: int,
        story_share: float,
        train: int,
        dev: int,
        test: int,
    ) -> None:
        """Raises ValueError for a value out of range."""
        check_integer("task.seed", seed, 0)
        check_integer("task.steps", steps, 1, 6)
        check_operations("task.operations", operations)
        if steps > 1 and not set(operations) & set("+-"):
            raise ValueError(f"task.operations={operations!r}: must have + or - with task.steps={steps}")
        check_integer("task.max_number", max_number, 4, 10_000)
        check_share("task.story_share", story_share)
        for key, size in (("train", train), ("dev", dev), ("test", test)):
            check_integer(f"task.{key}", size, 1)
        self.seed, self.steps, self.operations = seed, steps, operations
        self.max_number, self.story_share = max_number, story_share
        self.sizes = {"train": train, "dev": dev, "test": test}

    def rows(self, split: Split) -> list[Record]:
        """The problems of one split, all different; raises ValueError where there are too few."""
        random, size = Random(f"arithmetic {self.seed} {split}"), self.sizes[split]
        found: dict[str, Record] = {}
        for _ in range(_ATTEMPTS * size):
            calculation = self._draw(random)
            if calculation is None or split_of_text(calculation.text, SHARES) != split:
                continue
            say = calculation.told if random.random() < self.story_share else calculation.asked
            record = _record(say(random), calculation)
            found.setdefault(record.values["question"], record)
            if len(found) == size:
                return list(found.values())
        raise ValueError(f"task.{split}={size}: these settings give only about {len(found)} problems")

    def _draw(self, random: Random) -> Calculation | None:
        """A calculation whose values are whole numbers above 0; None where the numbers drawn allow none."""
        operators = self._operators(random, random.randint(1, self.steps))
        start = random.randint(2, min(_TABLE, self.max_number) if operators[0] in "*/" else self.max_number)
        if operators[0] == "/":
            start *= random.randint(2, self.max_number)
        value, steps = start, []
        for operator in operators:
            allowed = self._allowed(operator, value)
            if not allowed:
                return None
            steps.append((operator, random.choice(allowed)))
            value = _OPERATIONS[operator](value, steps[-1][1])
        return Calculation(start=start, steps=tuple(steps))

    def _operators(self, random: Random, count: int) -> list[str]:
        """One for each step: * is the first or none, / the last or none."""
        places = ["+-*/"] if count == 1 else ["+-*", *["+-"] * (count - 2), "+-/"]
        return [random.choice([it for it in self.operations if it in place]) for place in places]

    def _allowed(self, operator: str, value: int) -> Sequence[int]:
        """What may stand behind an operator."""
        if operator == "/":
            return [divisor for divisor in range(2, min(_TABLE + 1, value)) if value % divisor == 0]
        return range(2, 1 + (min(value - 1, self.max_number) if operator == "-" else self.max_number))


def _record(question: str, calculation: Calculation) -> Record:
    values = {"question": question, "answer": calculation.values[-1], "working": calculation.working}
    return Record(values=values, where="generated")
