"""The ledger of tries equals its definition in plain words, in whatever order the tries finish."""

import random

from hypothesis import given
from hypothesis import strategies as st

from dopsd.diffusion.decoding import Try
from dopsd.rollout.tries import Tries
from dopsd.task import Verdict

verdicts = st.builds(Verdict, accepted=st.booleans(), score=st.sampled_from([0.0, 0.25, 0.5, 1.0]))
tables = st.integers(1, 5).flatmap(
    lambda attempts: st.lists(st.lists(verdicts, min_size=attempts, max_size=attempts), max_size=5)
)
keeps = st.sampled_from(["first", "best", "last_best", "all"])


def expected(table: list[list[Verdict]], keep: str) -> tuple[list[Try], list[int]]:
    """The kept tries and the tries taken of each prompt."""
    kept, taken = [], []
    for prompt, row in enumerate(table):
        accepted = [attempt for attempt, verdict in enumerate(row) if verdict.accepted]
        later = -1 if keep == "last_best" else 1  # of equally good ones
        best = sorted(range(len(row)), key=lambda a: (not row[a].accepted, -row[a].score, later * a))[0]
        first = keep == "first" and accepted
        taken.append(accepted[0] + 1 if first else len(row))
        chosen = range(len(row)) if keep == "all" else [accepted[0] if first else best]
        kept += [Try(prompt, attempt) for attempt in chosen]
    return kept, taken


@given(tables, keeps, st.integers(1, 6), st.randoms(use_true_random=False))
def test_any_order_of_arrival_and_any_number_in_flight_keep_the_same(
    table: list[list[Verdict]], keep: str, parallel_tries: int, order: random.Random
) -> None:
    attempts = len(table[0]) if table else 1
    tries = Tries(len(table), keep=keep, max_attempts=attempts, parallel_tries=parallel_tries)
    in_flight: list[Try] = []
    started: list[Try] = []
    while not tries.is_settled:
        in_flight += (starting := tries.next())
        started += starting
        for prompt in range(len(table)):
            mine = [t for t in in_flight if t.prompt == prompt]
            assert len(mine) <= parallel_tries
            assert mine or prompt in tries.settled
        finished = in_flight.pop(order.randrange(len(in_flight)))
        tries.finish(finished, table[finished.prompt][finished.attempt])
        in_flight = [t for t in in_flight if t.prompt not in tries.settled]
    assert len(set(started)) == len(started)
    assert not tries.next()
    kept, taken = expected(table, keep)
    assert tries.kept == kept
    assert [tries.attempts(prompt) for prompt in range(len(table))] == taken
    assert [tries.verdict(t) for t in kept] == [table[t.prompt][t.attempt] for t in kept]
    if parallel_tries == 1:
        assert len(started) == sum(taken)


def test_no_try_starts_behind_one_that_was_accepted() -> None:
    tries = Tries(1, keep="first", max_attempts=4, parallel_tries=2)
    assert tries.next() == [Try(0, 0), Try(0, 1)]
    tries.finish(Try(0, 1), Verdict(accepted=True, score=1.0))
    assert tries.next() == []
    assert tries.settled == []  # the try before it may yet be accepted
    tries.finish(Try(0, 0), Verdict(accepted=False, score=0.0))
    assert (tries.settled, tries.kept) == ([0], [Try(0, 1)])
