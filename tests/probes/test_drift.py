"""The drift probe against one state at a time, in plain softmaxes."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from fakes import CHAT, EOS, MASK
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_decode import logits_of
from subjects import SAMPLER, subject

from dopsd.probes import Drift, Subject
from dopsd.probes.drift import Way
from dopsd.probes.drift_finding import ANOTHER_SEED, EXACT, DriftFinding, WayMeasurement
from dopsd.rollout import Rollout

WAY = Way(threshold=0.3)
MEASURES = [f.name for f in fields(WayMeasurement) if f.name != "seconds"]


def drift(*ways: Way, **options) -> Drift:
    return Drift(rollout=Rollout(sampler=replace(SAMPLER, **options), max_attempts=3), ways=ways or (WAY,))


def log_probabilities(asked: Subject, rollout: Rollout) -> list[float]:
    """What exact sampling gives to each trajectory's tokens, nats a token."""
    draws = next(iter(asked.batches()))
    tried = asked.ask(rollout, draws)
    states = tried.trajectory.visited_states(MASK)
    found: list[list[float]] = [[] for _ in draws]
    for s in range(len(states)):
        row = int(states.rollout[s])
        prompt = CHAT.encode_prompt(draws[row].example.prompt)
        logits = logits_of(asked.student, prompt, states.canvas[s].tolist(), rollout.sampler)
        law = (logits.double() / rollout.sampler.temperature).softmax(-1)
        for position in states.unmasked_now[s].nonzero()[:, 0].tolist():
            found[row].append(float(law[position, states.finished[s, position]].log()))
    return [float(np.mean(each)) for each in found]


@given(st.integers(0, 30), st.sampled_from([0.0, 1.5]), st.sampled_from(["free", "forbidden"]))
@settings(max_examples=4)
def test_the_log_probability_equals_one_state_at_a_time(seed, cfg_scale, end_of_text):
    asked = subject(seed)
    probe = drift(cfg_scale=cfg_scale, end_of_text=end_of_text)
    measured = probe.run(asked).measured
    for name, rollout in probe.rollouts.items():
        np.testing.assert_allclose(
            measured[name].log_probability, log_probabilities(asked, rollout), atol=1e-5
        )


@given(st.integers(0, 30))
@settings(max_examples=4)
def test_each_way_is_sampled_on_the_random_streams_of_the_exact_one(seed):
    asked = subject(seed)
    found = drift().run(asked).measured
    draws = next(iter(asked.batches()))
    for name, rollout in drift().rollouts.items():
        tried = asked.ask(rollout, draws)
        assert found[name].accepted.tolist() == tried.accepted.tolist()
        assert found[name].forwards.tolist() == tried.trajectory.steps.tolist()
    other = replace(asked, seed=asked.seed + 1).ask(drift().rollouts[EXACT], draws)
    assert found[ANOTHER_SEED].accepted.tolist() == other.accepted.tolist()


@given(st.integers(0, 30))
@settings(max_examples=4)
def test_a_way_that_changes_nothing_does_not_drift(seed):
    """Nothing is as sure as that, so a threshold of 1 unmasks one position a step, as exact sampling does here."""
    way = Way(threshold=1.0)
    found = drift(way, denoising_steps=6).run(subject(seed)).compared[str(way)]
    assert (found.differing.mean, found.log_probability_difference.mean) == (0, 0)
    assert found.reordered is None or found.reordered.mean == 0
    assert found.accepted_difference is not None
    assert found.accepted_difference.difference == 0


@given(st.integers(0, 30), st.integers(1, 11))
@settings(max_examples=4)
def test_the_batch_size_does_not_matter(seed, batch_size):
    whole = drift().run(subject(seed)).measured
    parts = drift().run(subject(seed, batch_size=batch_size)).measured
    assert list(whole) == list(parts) == [EXACT, "threshold 0.3", ANOTHER_SEED]
    for name, measure in ((name, measure) for name in whole for measure in MEASURES):
        np.testing.assert_allclose(
            getattr(whole[name], measure), getattr(parts[name], measure), atol=1e-6, err_msg=measure
        )


def test_what_the_sampler_itself_approximates_is_left_out_of_the_exact_way():
    assert drift(threshold=0.8).rollouts == drift().rollouts
    assert all(rollout.max_attempts == 1 for rollout in drift().rollouts.values())


def test_figures_and_table_are_differences_to_exact_sampling():
    def measured(seconds: float, accepted: list[bool], forwards: float) -> WayMeasurement:
        share = np.full(4, 0.0 if seconds == 8 else 0.25)
        given = {"differing": share, "reordered": np.full(4, np.nan), "log_probability": -share}
        return WayMeasurement(
            seconds=seconds, accepted=np.array(accepted), forwards=np.full(4, forwards), **given
        )

    exact, fast = (
        measured(8.0, [True, True, True, False], 6.0),
        measured(2.0, [True, False, False, False], 3.0),
    )
    found = DriftFinding(seed=0, measured={EXACT: exact, "threshold 0.9": fast})
    figures = found.figures()
    assert figures["asked"] == 4
    way = figures["ways"]["threshold 0.9"]
    assert (way["accepted"]["accuracy"], way["accepted_difference"]["difference"]) == (0.25, -0.5)
    assert (way["forwards"], way["speedup"]) == (3, 4)
    assert (way["differing"]["mean"], way["log_probability_difference"]["mean"]) == (0.25, -0.25)
    assert way["reordered"] is None
    columns, rows = found.table()
    assert {len(row) for row in rows} == {len(columns)}


def test_tokens_that_are_never_written_have_no_part_in_the_law():
    """An end of text that is forbidden leaves more to the others."""
    asked = subject(5)
    draws = next(iter(asked.batches()))
    trajectory = asked.ask(drift().rollouts[EXACT], draws).trajectory
    free, forbidden = drift(), drift(end_of_text="forbidden")
    ended = ((trajectory.tokens == EOS) & (trajectory.step_map < torch.iinfo(torch.int64).max)).any(1)
    some, more = (p._log_probability(asked, asked.prompts(draws), trajectory) for p in (free, forbidden))
    assert (more > some)[~ended].all()
    assert more[ended].eq(-torch.inf).all()


@pytest.mark.parametrize(
    ("ways", "line"),
    [
        ((), "ways=[]: must be different ways"),
        ((Way(),), "each with a threshold, a cache or both"),
        ((WAY, WAY), "must be different ways"),
    ],
)
def test_ways_that_are_none_or_the_same_are_refused(ways, line):
    with pytest.raises(ValueError, match=line.replace("[", r"\[")):
        Drift(rollout=Rollout(sampler=SAMPLER), ways=ways)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"temperature": 0.0}, "temperature=0: must be above 0"),
        ({"remasking": "random"}, "threshold=0.3: needs remasking=low_confidence or margin"),
    ],
)
def test_a_sampler_that_does_not_suit_is_refused(options, line):
    with pytest.raises(ValueError, match=line):
        drift(**options)
