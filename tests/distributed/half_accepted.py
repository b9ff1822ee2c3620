"""The training command with a verdict by a response's text, so that a random model has right and wrong answers."""

from dopsd.task import Countdown, Verdict
from dopsd.train import main


def verdict(self: Countdown, example: object, response: str) -> Verdict:
    """Accepts every second text."""
    accepted = sum(map(ord, response)) % 2 == 0
    return Verdict(accepted=accepted, score=float(accepted))


if __name__ == "__main__":
    Countdown.verdict = verdict
    main()
