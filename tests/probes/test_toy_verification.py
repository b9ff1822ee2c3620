"""Toy verification against each prompt on its own, decoded by the reference loop."""

import pytest
import torch
from fakes import CHAT, EOS, EOT, MASK
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_decode import decode
from subjects import GREEDY, SAMPLER, subject

from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.prompts import Prompts
from dopsd.probes import Subject, ToyVerification
from dopsd.probes.verification_finding import VerificationFinding
from dopsd.rollout import Rollout


def verified(
    asked: Subject, *rhos: float, keep_revealed: bool = False, max_attempts: int = 2
) -> VerificationFinding:
    rollout = Rollout(sampler=SAMPLER, max_attempts=max_attempts)
    probe = ToyVerification(rollout=rollout, finish=GREEDY, rhos=rhos, keep_revealed=keep_revealed)
    return probe.run(asked)


def text(tokens: list[int]) -> str:
    end = next((i for i, token in enumerate(tokens) if token in (EOS, EOT)), len(tokens))
    return CHAT.tokenizer.batch_decode([tokens[:end]])[0]


def is_right(asked: Subject, i: int, tokens: list[int]) -> bool:
    return asked.task.verdict(asked.examples[i], text(tokens)).accepted


def tries(asked: Subject, i: int, max_attempts: int) -> list[list[int]]:
    """The tries at one prompt up to the first accepted one."""
    prompt = CHAT.encode_prompt(asked.examples[i].prompt)
    found = []
    for attempt in range(max_attempts):
        keys = example_keys(0, [i], attempt)
        sampled = SAMPLER.sample(asked.student, Prompts.pad([prompt], EOS), keys, CHAT.special)
        found.append(sampled.tokens[0].tolist())
        if is_right(asked, i, found[-1]):
            break
    return found


def finished(asked: Subject, i: int, given: list[int], *, keep_given: bool) -> list[int]:
    """The rest, decoded greedily by the reference loop."""
    prompt = CHAT.encode_prompt(asked.examples[i].prompt)
    options = {"seed": 0, "example": i, "given": given, "keep_given": keep_given}
    return decode(asked.student, prompt, GREEDY, **options).tokens


networks = st.integers(0, 50)


@given(networks, st.booleans())
@settings(max_examples=15)
def test_everything_revealed_equals_a_plain_loop_over_each_prompt(seed, keep_revealed):
    asked = subject(seed)
    found = verified(asked, 1.0, keep_revealed=keep_revealed)
    for i in range(12):
        sampled = tries(asked, i, 2)
        plain = is_right(asked, i, finished(asked, i, [MASK] * 6, keep_given=True))
        has_answer = is_right(asked, i, sampled[-1])
        shown = is_right(asked, i, finished(asked, i, sampled[-1], keep_given=keep_revealed))
        control = is_right(asked, i, finished(asked, i, sampled[0], keep_given=keep_revealed))
        assert bool(found.has_answer[i]) == has_answer
        assert bool(found.first_try[i]) == is_right(asked, i, sampled[0])
        assert found.shown_answer[:, i].tolist() == [plain, shown if has_answer else plain]
        assert found.shown_first_try[:, i].tolist() == [plain, control]


@given(networks)
def test_an_answer_revealed_and_kept_as_a_whole_is_right(seed):
    found = verified(subject(seed), 1.0, keep_revealed=True)
    assert found.shown_answer[1, found.has_answer].all()
    assert torch.equal(found.shown_first_try[1], found.first_try)


@given(networks, st.booleans())
def test_prompts_without_an_answer_count_as_plain_decoding(seed, keep_revealed):
    found = verified(subject(seed), 0.3, 0.8, keep_revealed=keep_revealed)
    without = found.shown_answer[:, ~found.has_answer]
    assert torch.equal(without, without[:1].expand_as(without))


@given(networks, st.integers(1, 11))
@settings(max_examples=10)
def test_the_batch_size_does_not_matter(seed, batch_size):
    whole, parts = verified(subject(seed), 0.4), verified(subject(seed, batch_size=batch_size), 0.4)
    for name in ("has_answer", "first_try", "shown_answer", "shown_first_try"):
        assert torch.equal(getattr(whole, name), getattr(parts, name))


def test_figures_and_table_count_the_prompts():
    found = VerificationFinding(
        rhos=(0.0, 0.5),
        max_attempts=8,
        has_answer=torch.tensor([True, True, True, False]),
        first_try=torch.tensor([True, False, False, False]),
        shown_answer=torch.tensor([[True, False, False, False], [True, True, False, False]]),
        shown_first_try=torch.tensor([[True, False, False, False], [False, False, False, False]]),
    )
    figures = found.figures()
    assert (figures["pass_at_1"]["accuracy"], figures["pass_at_k"]["accuracy"]) == (0.25, 0.75)
    accuracies = {
        name: [(at["accuracy"], at["n"]) for at in curve] for name, curve in figures["curves"].items()
    }
    assert accuracies == {
        "shown_accepted_answer": [(0.25, 4), (0.5, 4)],
        "prompts_with_one": [(1 / 3, 3), (2 / 3, 3)],
        "shown_first_try": [(0.25, 4), (0.0, 4)],
    }
    columns, rows = found.table()
    assert len(rows) == 3
    assert {len(row) for row in rows} == {len(columns)} == {4}


def test_without_any_accepted_answer_there_is_no_curve_for_them():
    found = verified(subject(judge=lambda response, gold: 0.0), 0.5)
    assert set(found.curves) == {"shown_accepted_answer", "shown_first_try"}
    assert found.figures()["pass_at_k"]["accuracy"] == 0


@pytest.mark.parametrize("rhos", [(), (0.0,), (1.5,), (float("nan"),)])
def test_wrong_shares_are_refused(rhos):
    with pytest.raises(ValueError, match="rhos"):
        ToyVerification(rollout=Rollout(sampler=SAMPLER), finish=GREEDY, rhos=rhos)


def test_a_group_of_answers_is_refused():
    with pytest.raises(ValueError, match=r"rollout\.keep=all: must be first or best"):
        ToyVerification(rollout=Rollout(sampler=SAMPLER, keep="all"), finish=GREEDY)
