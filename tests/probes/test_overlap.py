"""The overlap probe against one state at a time, with Python sets."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from fakes import CHAT, EOS, MASK, TinyNetwork
from hypothesis import given, settings
from hypothesis import strategies as st
from subjects import SAMPLER, subject

from dopsd.distillation.supervision import StudentRanked, TeacherRanked
from dopsd.distillation.teacher import ARPrefixTeacher, SuffixTeacher
from dopsd.evaluation.bootstrap import bootstrap_means
from dopsd.probes import NothingFoundError, Overlap, Subject
from dopsd.probes.overlap_finding import OverlapFinding
from dopsd.rollout import Rollout

ROLLOUT = Rollout(sampler=SAMPLER, max_attempts=2)
TOP_K = 3


def overlap(**options) -> Overlap:
    chosen = {"suffix": SuffixTeacher(retain_ratio=0.5), "ar_prefix": ARPrefixTeacher()}
    chosen |= {"supervision": TeacherRanked(), "top_k": TOP_K, "rollout": ROLLOUT}
    return Overlap(**chosen | options)


def logits(network: TinyNetwork, prompt: list[int], canvas: torch.Tensor) -> torch.Tensor:
    """Of one canvas behind one prompt, at every response position."""
    return network(torch.tensor([prompt + canvas.tolist()])).logits()[0, len(prompt) :].detach()


def top(values: torch.Tensor) -> set[int]:
    return set(sorted(range(len(values)), key=lambda v: -float(values[v]))[:TOP_K])


def one_by_one(
    asked: Subject, teacher: SuffixTeacher | ARPrefixTeacher, untrained: TinyNetwork, *, ranked_by: str
) -> np.ndarray:
    """The overlap of each accepted trajectory at each step."""
    draws = next(iter(asked.batches()))
    tried = asked.ask(ROLLOUT, draws)
    states = tried.trajectory.visited_states(MASK)
    found = np.full((len(draws), SAMPLER.denoising_steps), np.nan)
    for s in range(len(states)):
        state, row = states[s : s + 1], int(states.rollout[s])
        example = draws[row].example
        prompt = CHAT.encode_prompt(example.prompt)
        shown = CHAT.prompts_of([teacher.message(example)])
        view = teacher.view(state, shown, tried.keys[row : row + 1], eos_id=EOS)
        teacher_logits = logits(untrained, shown.tokens[0].tolist(), view.canvas[0])
        student_logits = logits(asked.student, prompt, state.canvas[0])
        teacher_writes = teacher_logits.index_fill(-1, torch.tensor(MASK), -math.inf)  # never [MASK]
        confidence = teacher_writes.softmax(-1).max(-1).values
        start = int(state.unmasked_now[0].nonzero()[0]) // SAMPLER.block_length * SAMPLER.block_length
        if ranked_by == "teacher":
            still_masked = [
                i for i in range(start, start + SAMPLER.block_length) if view.canvas[0, i] == MASK
            ]
            size = int(state.unmasked_now.sum())
            supervised = sorted(still_masked, key=lambda i: -float(confidence[i]))[:size]
        else:
            supervised = [i for i in range(6) if state.unmasked_now[0, i] and view.canvas[0, i] == MASK]
        shares = [len(top(student_logits[i]) & top(teacher_logits[i])) / TOP_K for i in supervised]
        found[row, int(state.step)] = np.mean(shares) if shares else math.nan
    return found[tried.accepted.numpy()]


@given(st.integers(0, 30), st.sampled_from(["teacher", "student"]))
@settings(max_examples=12)
def test_equals_one_state_at_a_time(seed, ranked_by):
    untrained = TinyNetwork(seed + 1)
    asked = subject(seed, untrained=untrained)
    probe = overlap(supervision=TeacherRanked() if ranked_by == "teacher" else StudentRanked())
    found = probe.run(asked).overlaps
    for name, teacher in probe.teachers.items():
        expected = one_by_one(asked, teacher, untrained, ranked_by=ranked_by)
        np.testing.assert_allclose(found[name], expected, atol=1e-6)


@given(st.integers(0, 30))
@settings(max_examples=6)
def test_of_a_group_every_completion_is_looked_at_behind_its_own_prompt(seed):
    asked = subject(seed, untrained=TinyNetwork(seed + 1))
    group = overlap(rollout=replace(ROLLOUT, keep="all"), learn_from="all").run(asked).overlaps
    first = overlap(rollout=replace(ROLLOUT, max_attempts=1), learn_from="all").run(asked).overlaps
    for name, values in group.items():
        np.testing.assert_allclose(values[:: ROLLOUT.max_attempts], first[name], atol=1e-6)


@given(st.integers(0, 30))
def test_a_network_agrees_with_itself_where_nothing_is_revealed(seed):
    found = overlap(suffix=SuffixTeacher(retain_ratio=0.0), ar_prefix=None, learn_from="all").run(
        subject(seed)
    )
    values = found.overlaps["suffix"]
    assert set(values[~np.isnan(values)].tolist()) == {1.0}
    assert found.overall["suffix"].mean == 1.0


@given(st.integers(0, 30), st.integers(1, 11))
@settings(max_examples=10)
def test_the_batch_size_does_not_matter(seed, batch_size):
    whole, parts = overlap().run(subject(seed)), overlap().run(subject(seed, batch_size=batch_size))
    for name, values in whole.overlaps.items():
        np.testing.assert_array_equal(values, parts.overlaps[name])


def test_learning_from_all_answers_has_a_row_for_each_prompt():
    assert len(overlap(learn_from="all").run(subject()).overlaps["suffix"]) == 12
    assert 0 < len(overlap().run(subject()).overlaps["suffix"]) < 12


def test_nothing_accepted_is_said():
    with pytest.raises(NothingFoundError, match="none of 12 prompts had an accepted answer in 2 tries"):
        overlap().run(subject(judge=lambda response, gold: 0.0))


def test_without_a_teacher_there_is_nothing_to_do():
    with pytest.raises(ValueError, match="at least one of suffix and ar_prefix"):
        overlap(suffix=None, ar_prefix=None)


def test_means_leave_out_what_is_not_there():
    values = np.array([[1.0, 0.5, np.nan], [0.0, np.nan, np.nan], [np.nan, np.nan, np.nan]])
    found = OverlapFinding(top_k=3, asked=4, seed=0, overlaps={"suffix": values})
    assert {step: (m.mean, m.n) for step, m in found.by_step["suffix"].items()} == {0: (0.5, 2), 1: (0.5, 1)}
    assert (found.overall["suffix"].mean, found.overall["suffix"].n) == (0.375, 2)
    figures = found.figures()
    assert (figures["asked"], figures["learnt_from"]) == (4, 3)
    assert [at["step"] for at in figures["teachers"]["suffix"]["by_step"]] == [0, 1]


def test_intervals_are_those_of_scipys_percentile_bootstrap():
    from scipy.stats import bootstrap  # noqa: PLC0415  (slow to import)

    values = np.random.default_rng(0).beta(2, 3, size=40)
    expected = bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=1
    ).confidence_interval
    (found,) = bootstrap_means(values[:, None], seed=2)
    assert (found.mean, found.n) == (pytest.approx(values.mean()), 40)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.006)


def test_a_constant_has_no_width_and_equal_columns_equal_intervals():
    values = np.random.default_rng(0).uniform(size=20)
    constant, one, other = bootstrap_means(np.stack([np.full(20, 0.7), values, values], 1), seed=0)
    assert (constant.low, constant.high) == pytest.approx((0.7, 0.7))
    assert one == other
