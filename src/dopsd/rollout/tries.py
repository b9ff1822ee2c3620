"""The tries at some prompts as a ledger: which come next, which prompts need no more, which tries are kept."""

from typing import Literal

from dopsd.diffusion.decoding import Try
from dopsd.task import Verdict

Keep = Literal["first", "best", "last_best", "all"]
"""Of a prompt's tries: the first accepted one (else the best), the first or the last of the best, or every one."""


class Tries:
    """At most `max_attempts` tries of each prompt, `parallel_tries` of them in flight at once.

    What is kept does not depend on how many are in flight, nor on the order in which they finish.
    """

    def __init__(self, prompts: int, *, keep: Keep, max_attempts: int, parallel_tries: int = 1):
        self.prompts, self._keep = prompts, keep
        self._max_attempts, self._parallel_tries = max_attempts, parallel_tries
        self._started = [0] * prompts
        self._verdicts: list[dict[int, Verdict]] = [{} for _ in range(prompts)]

    def next(self) -> list[Try]:
        """The tries to start now; each is named once."""
        starting = []
        for prompt, started in enumerate(self._started):
            end = min(self._wanted(prompt), len(self._verdicts[prompt]) + self._parallel_tries)
            starting += [Try(prompt, attempt) for attempt in range(started, end)]
            self._started[prompt] = max(started, end)
        return starting

    def finish(self, finished: Try, verdict: Verdict) -> None:
        """Enters what came of a try."""
        self._verdicts[finished.prompt][finished.attempt] = verdict

    @property
    def settled(self) -> list[int]:
        """The prompts that need no more tries, neither new ones nor those in flight."""
        return [
            prompt
            for prompt, verdicts in enumerate(self._verdicts)
            if all(attempt in verdicts for attempt in range(self._wanted(prompt)))
        ]

    @property
    def is_settled(self) -> bool:
        """Whether that is true of every prompt."""
        return len(self.settled) == self.prompts

    @property
    def kept(self) -> list[Try]:
        """The tries that are kept, by prompt and attempt; known when all prompts are settled."""
        return [Try(prompt, attempt) for prompt in self.settled for attempt in self._kept_of(prompt)]

    def attempts(self, prompt: int) -> int:
        """The tries that a settled prompt took, in their order; what was started beside them does not count."""
        return self._wanted(prompt)

    def verdict(self, finished: Try) -> Verdict:
        """What came of a try."""
        return self._verdicts[finished.prompt][finished.attempt]

    def _wanted(self, prompt: int) -> int:
        """How many tries a prompt takes by what is known so far: up to the first accepted one, or all."""
        verdicts = self._verdicts[prompt]
        accepted = [a for a, verdict in verdicts.items() if verdict.accepted and self._keep == "first"]
        return min(accepted, default=self._max_attempts - 1) + 1

    def _kept_of(self, prompt: int) -> list[int]:
        attempts, verdicts = range(self._wanted(prompt)), self._verdicts[prompt]
        if self._keep == "all":
            return list(attempts)
        in_order = reversed(attempts) if self._keep == "last_best" else attempts
        return [max(in_order, key=lambda attempt: (verdicts[attempt].accepted, verdicts[attempt].score))]
