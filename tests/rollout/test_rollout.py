"""Rejection sampling in batches equals asking each prompt alone, one try after the other."""

import pytest
import torch
from fakes import CHAT, EOS, EOT, MASK, SPECIAL, VOCABULARY, JudgeTask, TinyNetwork, denoiser_of, example
from hypothesis import given
from hypothesis import strategies as st

from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.sampler import BlockSampler
from dopsd.rollout import Rollout, RolloutBatch
from dopsd.stream import Draw
from dopsd.task import Verdict

SAMPLER = BlockSampler(gen_length=6, block_length=3, denoising_steps=4, temperature=1.5)
NETWORK = TinyNetwork(3)


def letters(response: str, gold: int) -> float:
    """A score from 0 to 1 that differs between examples and responses; about a quarter is accepted at 0.6."""
    return sum((ord(letter) * 7 + gold) % 12 for letter in response) % 10 / 9


TASK = JudgeTask(letters, accept=0.6)
draw_numbers = st.lists(st.integers(0, 300), min_size=1, max_size=6, unique=True)


def draws_of(numbers: list[int]) -> list[Draw]:
    return [Draw(example=example(number % 12), number=number) for number in numbers]


def collect(
    rollout: Rollout, draws: list[Draw], *, network=NETWORK, task=TASK, seed: int = 0
) -> RolloutBatch:
    prompts = CHAT.prompts(draw.example for draw in draws)
    return rollout.collect(network, draws, prompts, chat=CHAT, task=task, seed=seed)


def asked_alone(draw: Draw, rollout: Rollout, seed: int):
    """The kept tries of one prompt (attempt, trajectory, response, verdict) and how many it took, in plain steps."""
    tries = []
    for attempt in range(rollout.max_attempts):
        prompts = Prompts.pad([CHAT.encode_prompt(draw.example.prompt)], EOS)
        keys = example_keys(seed, [draw.number], attempt)
        trajectory = rollout.sampler.sample(NETWORK, prompts, keys, SPECIAL)
        tokens = trajectory.tokens[0].tolist()
        end = min((i for i, token in enumerate(tokens) if token in (EOS, EOT)), default=len(tokens))
        response = CHAT.tokenizer.batch_decode([tokens[:end]])[0]
        tries.append((attempt, trajectory, response, TASK.verdict(draw.example, response)))
        if rollout.keep == "first" and tries[-1][3].accepted:
            return tries[-1:], len(tries)
    return tries if rollout.keep == "all" else [max(tries, key=lambda kept: kept[3].score)], len(tries)


@given(
    draw_numbers,
    st.integers(1, 4),
    st.sampled_from(["first", "best", "all"]),
    st.integers(1, 5),
    st.integers(0, 3),
)
def test_a_batch_equals_its_prompts_asked_one_by_one(numbers, max_attempts, keep, parallel_tries, seed):
    rollout = Rollout(sampler=SAMPLER, max_attempts=max_attempts, keep=keep, parallel_tries=parallel_tries)
    batch = collect(rollout, draws_of(numbers), seed=seed)
    rows = iter(range(len(batch)))
    for i, draw in enumerate(draws_of(numbers)):
        kept, attempts = asked_alone(draw, rollout, seed)
        for (attempt, trajectory, response, verdict), row in zip(kept, rows, strict=False):
            assert torch.equal(batch.trajectory.tokens[row : row + 1], trajectory.tokens)
            assert torch.equal(batch.trajectory.step_map[row : row + 1], trajectory.step_map)
            assert torch.equal(batch.trajectory.steps[row : row + 1], trajectory.steps)
            assert (batch.responses[row], batch.verdicts[row]) == (response, verdict)
            assert (int(batch.prompt[row]), int(batch.attempt[row]), int(batch.attempts[row])) == (
                i,
                attempt,
                attempts,
            )
    assert next(rows, None) is None


@given(draw_numbers, st.sampled_from(["first", "all"]), st.integers(0, 6))
def test_the_rollouts_of_two_parts_are_those_of_the_whole(numbers, keep, cut):
    rollout = Rollout(sampler=SAMPLER, max_attempts=2, keep=keep)
    draws = draws_of(numbers)
    parts = [collect(rollout, part) for part in (draws[:cut], draws[cut:]) if part]
    whole, joined = collect(rollout, draws), RolloutBatch.joined(parts).to("cpu")
    assert (joined.responses, joined.verdicts) == (whole.responses, whole.verdicts)
    assert joined.prompts == whole.prompts == len(draws)
    for name in ("keys", "prompt", "attempt", "attempts", "accepted"):
        assert torch.equal(getattr(joined, name), getattr(whole, name))
    assert torch.equal(joined.trajectory.tokens, whole.trajectory.tokens)


@given(draw_numbers)
def test_the_verdicts_belong_to_the_kept_responses_and_trajectories(numbers):
    batch = collect(Rollout(sampler=SAMPLER, max_attempts=3), draws_of(numbers))
    assert batch.responses == CHAT.responses(batch.trajectory.tokens)
    for draw, response, verdict in zip(draws_of(numbers), batch.responses, batch.verdicts, strict=True):
        assert TASK.verdict(draw.example, response) == verdict
    assert batch.accepted.tolist() == [verdict.accepted for verdict in batch.verdicts]
    assert torch.equal(batch.keys, example_keys(0, numbers, batch.attempt))


@given(draw_numbers, st.sampled_from(["first", "all"]))
def test_a_completion_is_sampled_again_from_its_own_key(numbers, keep):
    batch = collect(Rollout(sampler=SAMPLER, max_attempts=3, keep=keep), draws_of(numbers))
    assert len(set(batch.keys.tolist())) == len(batch)
    prompts = CHAT.prompts(draw.example for draw in draws_of(numbers))[batch.prompt]
    again = SAMPLER.sample(NETWORK, prompts, batch.keys, SPECIAL)
    assert torch.equal(again.tokens, batch.trajectory.tokens)
    assert torch.equal(again.step_map, batch.trajectory.step_map)


class Counting:
    """Remembers how many rows each forward had."""

    def __init__(self):
        self.rows: list[int] = []

    def __call__(self, canvas, attention_mask, at):
        self.rows.append(len(canvas))
        return NETWORK(canvas, attention_mask, at)


def test_a_retry_decodes_only_prompts_without_an_accepted_answer():
    sampler = BlockSampler(gen_length=3, block_length=3, denoising_steps=1, temperature=1.5)
    network, draws = Counting(), draws_of(list(range(12)))
    batch = collect(Rollout(sampler=sampler, max_attempts=6), draws, network=network)
    still_asked = [int((batch.attempts > attempt).sum()) for attempt in range(6)]
    assert network.rows == [count for count in still_asked if count]
    assert len(set(still_asked)) > 2
    everything = Counting()
    collect(Rollout(sampler=sampler, max_attempts=6, keep="best"), draws, network=everything)
    assert everything.rows == [12] * 6


def test_no_prompt_waits_for_another_and_parallel_tries_wait_for_nothing():
    draws = draws_of(list(range(40)))
    forwards = {}
    for parallel_tries in (1, 6):
        network = Counting()
        batch = collect(
            Rollout(sampler=SAMPLER, max_attempts=6, parallel_tries=parallel_tries), draws, network=network
        )
        forwards[parallel_tries] = len(network.rows)
    one_after_another = 0
    for attempt in range(6):
        asked = [
            draw for draw, attempts in zip(draws, batch.attempts.tolist(), strict=True) if attempts > attempt
        ]
        if asked:
            network = Counting()
            prompts = CHAT.prompts(draw.example for draw in asked)
            keys = example_keys(0, [draw.number for draw in asked], attempt)
            SAMPLER.sample(network, prompts, keys, SPECIAL)
            one_after_another += len(network.rows)
    assert forwards[6] <= SAMPLER.denoising_steps < forwards[1] < one_after_another


def test_best_of_all_tries_is_at_least_as_good_as_the_first_accepted():
    draws = draws_of(list(range(12)))
    first = collect(Rollout(sampler=SAMPLER, max_attempts=5), draws)
    best = collect(Rollout(sampler=SAMPLER, max_attempts=5, keep="best"), draws)
    assert torch.equal(first.accepted, best.accepted)
    pairs = list(zip(first.verdicts, best.verdicts, strict=True))
    assert all(b.score >= f.score for f, b in pairs)
    assert any(b.score > f.score for f, b in pairs)


def test_an_accepted_answer_is_kept_before_a_better_scored_refused_one():
    class Strange(JudgeTask):
        def verdict(self, example, response):
            accepted = sum(map(ord, response)) % 2 == 1
            return Verdict(accepted=accepted, score=0.1 if accepted else 0.9)

    batch = collect(
        Rollout(sampler=SAMPLER, max_attempts=8, keep="best"), draws_of([0, 1, 2]), task=Strange(letters)
    )
    assert batch.accepted.all()


def test_nothing_accepted_uses_all_tries_and_keeps_a_trajectory():
    batch = collect(
        Rollout(sampler=SAMPLER, max_attempts=3), draws_of([0, 1]), task=JudgeTask(lambda r, g: 0.0)
    )
    assert not batch.accepted.any()
    assert batch.attempts.tolist() == [3, 3]
    assert not (batch.trajectory.tokens == MASK).any()


@pytest.mark.parametrize(("favourite", "response"), [(EOS, ""), (EOT, ""), (4, "aaaaaa")])
def test_empty_answers_and_answers_without_an_end_are_judged_like_others(favourite, response):
    @denoiser_of
    def network(canvas, attention_mask, at):
        return torch.nn.functional.one_hot(torch.full(at.shape, favourite), VOCABULARY) * 100.0

    sampler = BlockSampler(gen_length=6, block_length=3, denoising_steps=2)
    task = JudgeTask(lambda given, gold: float(given == response))
    batch = collect(Rollout(sampler=sampler), draws_of([0, 1]), network=network, task=task)
    assert batch.responses == [response] * 2
    assert batch.accepted.all()
    assert batch.attempts.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("key", "value"), [("max_attempts", 0), ("parallel_tries", 0), ("keep", "last"), ("passk", 8)]
)
def test_bad_options_are_refused_by_name(key, value):
    with pytest.raises(ValueError, match=key):
        Rollout(**{"sampler": SAMPLER, key: value})
