"""Pairs: of one prompt, a better and a worse row, every candidate as likely, nothing that depends on the batch."""

from collections import Counter

import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dopsd.diffusion.noise import example_keys
from dopsd.policy.pairs import PairChoice, best_and_worst

RANDOM, CLOSEST = PairChoice(match="random"), PairChoice(match="closest_length")
rows = st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(1, 6)), max_size=14)


def columns(rows: list) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    prompt, accepted, lengths = zip(*rows, strict=True) if rows else ((), (), ())
    return torch.tensor(prompt).long(), torch.tensor(accepted).bool(), torch.tensor(lengths).long()


def pairs_of(choice: PairChoice, rows: list, keys: torch.Tensor | None = None):
    prompt, accepted, lengths = columns(rows)
    keys = example_keys(0, range(len(rows))) if keys is None else keys
    return choice.pairs(prompt, better=accepted, worse=~accepted, lengths=lengths, keys=keys)


@given(rows, st.sampled_from([RANDOM, CLOSEST]))
def test_each_prompt_with_both_has_one_pair_and_the_others_are_counted(rows, choice):
    pairs = pairs_of(choice, rows)
    verdicts = {prompt: {accepted for p, accepted, _ in rows if p == prompt} for prompt, _, _ in rows}
    with_both = sorted(prompt for prompt, found in verdicts.items() if len(found) == 2)
    assert [rows[row][0] for row in pairs.chosen.tolist()] == with_both
    assert [rows[row][0] for row in pairs.refused.tolist()] == with_both
    assert all(rows[row][1] for row in pairs.chosen.tolist())
    assert not any(rows[row][1] for row in pairs.refused.tolist())
    assert pairs.prompts_without == len(verdicts) - len(with_both)


@given(rows)
def test_the_closest_lengths_are_as_close_as_any(rows):
    pairs = pairs_of(CLOSEST, rows)
    for chosen, refused in zip(pairs.chosen.tolist(), pairs.refused.tolist(), strict=True):
        same = [row for row in rows if row[0] == rows[chosen][0]]
        gaps = [abs(a[2] - b[2]) for a in same if a[1] for b in same if not b[1]]
        assert abs(rows[chosen][2] - rows[refused][2]) == min(gaps)


@given(rows, st.randoms(use_true_random=False), st.sampled_from([RANDOM, CLOSEST]))
def test_a_prompt_has_the_same_pair_wherever_its_rows_stand(rows, random, choice):
    order = list(range(len(rows)))
    random.shuffle(order)
    pairs = pairs_of(choice, rows)
    shuffled = pairs_of(choice, [rows[i] for i in order], example_keys(0, order))
    assert pairs.chosen.tolist() == [order[i] for i in shuffled.chosen.tolist()]
    assert pairs.refused.tolist() == [order[i] for i in shuffled.refused.tolist()]


def test_every_candidate_is_as_likely():
    prompts, group = 1200, [(True, 3), (True, 3), (False, 3), (False, 9), (False, 3)]
    rows = [(prompt, *row) for prompt in range(prompts) for row in group]

    def share(choice: PairChoice) -> Counter:
        pairs = pairs_of(choice, rows)
        assert len(pairs) == prompts
        return Counter(
            (c % 5, r % 5) for c, r in zip(pairs.chosen.tolist(), pairs.refused.tolist(), strict=True)
        )

    at_random, closest = share(RANDOM), share(CLOSEST)
    assert len(at_random) == 6
    assert stats.chisquare(list(at_random.values())).pvalue > 1e-3
    assert set(closest) == {(chosen, refused) for chosen in (0, 1) for refused in (2, 4)}
    assert stats.chisquare(list(closest.values())).pvalue > 1e-3


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0.0, 0.1, 0.5, 1.0])), max_size=10))
def test_best_and_worst_scores_are_each_prompts_own(rows):
    prompt = torch.tensor([row[0] for row in rows]).long()
    best, worst = best_and_worst(prompt, torch.tensor([row[1] for row in rows]))
    for i, (mine, score) in enumerate(rows):
        scores = [s for p, s in rows if p == mine]
        assert bool(best[i]) == (score == max(scores) > min(scores))
        assert bool(worst[i]) == (score == min(scores) < max(scores))
