"""The text the embedded model is taught on: two puzzles, each answered by habit tersely or worked out."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import overload

from dopsd.task.answer import write_response
from dopsd.task.countdown.expression import random_guess
from dopsd.task.countdown.puzzles import worked_response
from dopsd.task.countdown.task import Countdown
from dopsd.task.sudoku.task import Sudoku
from dopsd.task.task import Example, Split, Task, check_integer, check_share, check_split
from dopsd.task.verdict import Verdict


class EmbeddedMixture(Task):
    """Samples for masked-diffusion SFT over the training puzzles of both tasks, in two styles.

    Terse: no reasoning and a careless answer (a Countdown guess; a Sudoku grid in which each blank is right
    with chance `terse_cell_accuracy`, else any digit). Worked: a correct solution, its steps first. Sample n
    is a function of the seed and n, made when asked for. Dev and test are those of the two tasks.
    """

    name = "embedded_mixture"

    def __init__(
        self,
        *,
        countdown: Countdown,
        sudoku: Sudoku,
        seed: int = 0,
        samples: int = 500_000,
        countdown_share: float = 0.35,
        terse_share_countdown: float = 0.6,
        terse_share_sudoku: float = 0.6,
        terse_cell_accuracy: float = 0.8,
    ) -> None:
        """Raises ValueError for a share outside 0..1, no samples, or Countdown beyond four numbers."""
        check_integer("task.seed", seed, 0)
        check_integer("task.samples", samples, 1)
        check_integer("task.countdown.numbers", countdown.numbers, 2, 4)
        check_share("task.countdown_share", countdown_share)
        check_share("task.terse_share_countdown", terse_share_countdown)
        check_share("task.terse_share_sudoku", terse_share_sudoku)
        check_share("task.terse_cell_accuracy", terse_cell_accuracy)
        self.seed, self.samples, self.countdown_share = seed, samples, countdown_share
        self.countdown, self.sudoku = countdown, sudoku
        self.terse_share_countdown, self.terse_share_sudoku = terse_share_countdown, terse_share_sudoku
        self.terse_cell_accuracy = terse_cell_accuracy
        self._worked: dict[str, list[str]] = {}

    def examples(self, split: Split) -> Sequence[Example]:
        """The samples in train; the two tasks' own puzzles in dev and test."""
        check_split(split)
        if split == "train":
            return MixtureSamples(self)
        return [*self.countdown.examples(split), *self.sudoku.examples(split)]

    def verdict(self, example: Example, response: str) -> Verdict:
        """The verdict of the task the example comes from; whether it is correct stands under that task's name too."""
        task = self._task_of(example)
        verdict = task.verdict(example, response)
        correct = float(verdict.correct)
        return replace(verdict, metrics={"correct": correct, task.name: correct, **verdict.metrics})

    def chance(self, examples: Sequence[Example]) -> dict[str, float]:
        """Those of the tasks that the examples come from."""
        found: dict[str, float] = {}
        for task in (self.countdown, self.sudoku):
            own = [example for example in examples if self._task_of(example) is task]
            found |= task.chance(own) if own else {}
        return found

    def _task_of(self, example: Example) -> Task:
        return {"countdown": self.countdown, "sudoku": self.sudoku}[example.id.partition("/")[0]]

    def sample(self, index: int) -> Example:
        """Sample number `index`, drawn from the seed and the index alone."""
        random = Random((self.seed << 40) + index)
        if random.random() < self.countdown_share:
            return self._countdown_sample(index, random)
        return self._sudoku_sample(index, random)

    def _countdown_sample(self, index: int, random: Random) -> Example:
        base = random.choice(self.countdown.examples("train"))
        gold = base.gold
        shown = tuple(random.sample(gold.numbers, len(gold.numbers)))
        if random.random() < self.terse_share_countdown:
            solution = write_response("", random_guess(shown, self.countdown.operations, random).text)
        else:
            solution = random.choice(self._worked_responses(base))
        prompt = self.countdown.prompt(shown, gold.target)
        return Example(id=f"{base.id}#{index}", prompt=prompt, solution=solution, gold=gold)

    def _worked_responses(self, example: Example) -> list[str]:
        if example.id not in self._worked:
            self._worked[example.id] = [worked_response(it) for it in self.countdown.solutions(example)]
        return self._worked[example.id]

    def _sudoku_sample(self, index: int, random: Random) -> Example:
        base = random.choice(self.sudoku.examples("train"))
        solution = base.solution
        if random.random() < self.terse_share_sudoku:
            solution = write_response("", self._careless_grid(base, random))
        return Example(id=f"{base.id}#{index}", prompt=base.prompt, solution=solution, gold=base.gold)

    def _careless_grid(self, example: Example, random: Random) -> str:
        gold, accuracy = example.gold, self.terse_cell_accuracy
        return "".join(
            digit if given != "0" or random.random() < accuracy else "1234"[int(4 * random.random())]
            for given, digit in zip(gold.puzzle, gold.solution, strict=True)
        )


class MixtureSamples(Sequence[Example]):
    """The samples of a mixture, made when they are asked for."""

    def __init__(self, mixture: EmbeddedMixture) -> None:
        self._mixture = mixture

    def __len__(self) -> int:
        return self._mixture.samples

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> list[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | list[Example]:
        if isinstance(index, slice):
            return [self._mixture.sample(position) for position in range(*index.indices(len(self)))]
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(index)
        return self._mixture.sample(position)
