"""One d-OPSD step against three plain loops, and what must not change it."""

import copy
import time
from dataclasses import replace
from typing import Any

import pytest
import torch
from attending import block_network
from fakes import CHAT, EOS, EOT, VOCABULARY, JudgeTask, TinyNetwork, example
from reference_loss import naive_loss
from small_run import DRAWS, NETWORK_SEED, NONE, SAMPLER, Study, assert_close, dopsd, gradients_of, train

from dopsd.diffusion import hidden
from dopsd.diffusion.sampler import BlockSampler
from dopsd.distillation import state_sample
from dopsd.distillation.clip import NoClip, PointwiseClip
from dopsd.distillation.divergence import ForwardKL, Objective, ReverseKL
from dopsd.distillation.supervision import AllMasked, StudentRanked, TeacherRanked
from dopsd.distillation.teacher import ARPrefixTeacher, SuffixTeacher
from dopsd.method.clock import Clock
from dopsd.method.learning import Learning
from dopsd.method.teacher_weights import EMAWeights, LiveWeights
from dopsd.rollout import Rollout
from dopsd.stream import Draw

ARMS = {
    "default": {},
    "later blocks": {"teacher": SuffixTeacher(retain_ratio=0.5, region="later_blocks", counted="canvas")},
    "nothing shown": {"teacher": SuffixTeacher(retain_ratio=0.0)},
    "mostly shown": {"teacher": SuffixTeacher(retain_ratio=0.7)},
    "prefix": {"teacher": ARPrefixTeacher()},
    "student ranked": {"supervision": StudentRanked()},
    "all rollouts": {"learning": Learning(learn_from="all")},
    "average over rollouts": {"learning": Learning(average_over="rollouts")},
    "sum over positions": {"learning": Learning(over_positions="sum")},
    "mean over visited states": {"learning": Learning(over_states="visited")},
    "without the last block": {"learning": Learning(train_last_block=False)},
}


@pytest.mark.parametrize("arm", ARMS)
def test_loss_and_gradient_are_those_of_three_loops(arm):
    teacher = TinyNetwork(NETWORK_SEED)
    method = dopsd(**ARMS[arm])
    study = Study(method)
    expected = naive_loss(method, DRAWS, teacher)
    method.network.zero_grad()
    expected.backward()
    assert study.logged("train/loss") == [pytest.approx(float(expected.detach()), rel=1e-4)]
    assert float(study.losses[0]) == pytest.approx(float(expected.detach()), rel=1e-4)
    assert_close(study.gradients[0], gradients_of(method.network), rtol=1e-3)


@pytest.mark.parametrize("arm", ["default", "prefix"])
def test_a_block_causal_student_has_the_same_loss_as_if_later_blocks_were_shown(arm):
    """The reference shows them, to a network that does not see them."""
    method = dopsd(network=block_network(4), **ARMS[arm])
    study = Study(method)
    expected = float(naive_loss(method, DRAWS, block_network(4)).detach())
    assert study.logged("train/loss") == [pytest.approx(expected, rel=1e-4)]


@pytest.mark.parametrize("supervision", [AllMasked(honest=True), TeacherRanked()])
def test_nothing_behind_the_active_block_of_a_block_causal_student_is_shown_or_supervised(supervision):
    network, prompts = block_network(4), CHAT.prompts([draw.example for draw in DRAWS])
    method = dopsd(network=network, supervision=supervision)
    method.log_step = lambda values: None
    rollout = method.roll_out(DRAWS, prompts)
    [(states, view)] = method._parts(rollout, prompts[rollout.prompt])
    shown = view.canvas != states.canvas
    assert torch.equal(shown, view.revealed)
    assert shown.any()
    assert states.later.any()
    assert not (states.later & (shown | supervision.candidates(states, view.revealed))).any()
    assert len(method.notes) == 1
    assert not dopsd().notes


@pytest.mark.parametrize("arm", ["default", "prefix", "student ranked", "sum over positions", "mostly shown"])
def test_micro_batches_of_any_token_budget_give_the_same_step(arm):
    whole = Study(dopsd(**ARMS[arm]))
    for budget in (1, 30, 70):
        parts = Study(dopsd(**ARMS[arm], micro_batch_tokens=budget))
        assert parts.micro_batches > whole.micro_batches == [1]
        assert_close(parts.gradients[0], whole.gradients[0])
        for key, value in whole.rows[-1].items():
            assert parts.rows[-1][key] == pytest.approx(value, rel=1e-4, abs=1e-6), key


@pytest.mark.parametrize("arm", ["default", "student ranked", "mostly shown"])
def test_logits_in_chunks_give_the_same_step(arm, monkeypatch):
    whole = Study(dopsd(**ARMS[arm]))
    monkeypatch.setattr(hidden, "LOGITS", 3 * VOCABULARY)
    chunked = Study(dopsd(**ARMS[arm]))
    assert_close(chunked.gradients[0], whole.gradients[0])
    assert chunked.rows[-1] == pytest.approx(whole.rows[-1], rel=1e-4, abs=1e-6)


def test_a_sample_of_one_state_a_trajectory_has_the_whole_loss_as_its_mean(monkeypatch):
    whole = Study(dopsd(learning=Learning(learn_from="all")))
    sampled = Learning(learn_from="all", states_per_trajectory=1)
    losses, states = [], set()
    for start in range(60):  # a multiple of every trajectory's number of states
        number = (start + 0.5) / 60
        monkeypatch.setattr(
            state_sample,
            "uniform",
            lambda keys, number=number: torch.full_like(keys, number, dtype=torch.float64),
        )
        study = Study(dopsd(learning=sampled))
        losses += study.logged("train/loss")
        states |= set(study.logged("train/states"))
    assert states == {float(len(DRAWS))}
    assert sum(losses) / 60 == pytest.approx(whole.logged("train/loss")[0], rel=1e-4)


def test_as_many_states_as_there_are_change_nothing():
    whole, sampled = (
        Study(dopsd(learning=Learning(learn_from="all", states_per_trajectory=number)))
        for number in (None, 99)
    )
    assert_close(sampled.gradients[0], whole.gradients[0])


def test_a_step_is_the_mean_of_the_steps_of_its_prompts():
    method = dopsd(learning=Learning(average_over="rollouts"))
    whole = float(Study(method).losses[0])
    alone = [sum(float(loss) for loss in Study(dopsd(), [draw]).losses) for draw in DRAWS]
    assert whole == pytest.approx(sum(alone) / len(DRAWS), rel=1e-4)


def test_the_order_of_the_prompts_does_not_matter():
    whole, turned = Study(dopsd()), Study(dopsd(), DRAWS[::-1])
    assert float(turned.losses[0]) == pytest.approx(float(whole.losses[0]), rel=1e-5)
    assert_close(turned.gradients[0], whole.gradients[0])


@pytest.mark.parametrize("divergence", [ReverseKL(), ForwardKL()])
def test_ratio_zero_with_live_weights_gives_divergence_zero_and_overlap_one(divergence):
    method = dopsd(
        teacher=SuffixTeacher(retain_ratio=0.0),
        teacher_weights=LiveWeights(),
        objective=Objective(divergence=divergence, clip=NoClip(), overlap_top_k=4),
    )
    study = Study(method)
    assert study.logged("train/loss") == [pytest.approx(0.0, abs=1e-6)]
    assert study.logged("distill/divergence") == [pytest.approx(0.0, abs=1e-6)]
    assert study.logged("distill/top_k_overlap") == [pytest.approx(1.0)]
    for gradient in study.gradients[0].values():
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-6)


def test_ratio_one_leaves_nothing_to_supervise_and_makes_no_update():
    study = Study(dopsd(teacher=SuffixTeacher(retain_ratio=1.0)))
    assert study.losses == []
    assert study.logged("rollout/accepted") == [pytest.approx(4 / 6)]


def test_logged_shares_are_those_of_the_rollout_and_of_the_clip():
    objective = Objective(divergence=ReverseKL(), clip=PointwiseClip(maximum=0.01), overlap_top_k=4)
    study = Study(dopsd(objective=objective))
    (loss,), (divergence,) = study.logged("train/loss"), study.logged("distill/divergence")
    assert loss < divergence
    assert study.logged("distill/clipped_fraction") == [pytest.approx(1 - loss / divergence)]
    assert 0 <= study.logged("distill/top_k_overlap")[0] <= 1
    assert study.logged("distill/entropy")[0] > 0
    assert study.logged("rollout/attempts") == [pytest.approx((4 * 1 + 2 * 2) / 6)]


@pytest.mark.parametrize(("clip", "share"), [(NoClip(), 0), (PointwiseClip(maximum=1e-9), 1)])
def test_the_cap_from_above_makes_losses_negative_and_that_is_logged(clip, share):
    study = Study(dopsd(objective=Objective(divergence=ReverseKL(), clip=clip, overlap_top_k=4)))
    assert study.logged("distill/negative_share") == [pytest.approx(share)]


def test_a_batch_in_which_nothing_is_accepted_is_logged_and_makes_no_update():
    study = Study(dopsd(task=NONE))
    assert study.losses == []
    assert study.logged("rollout/accepted") == [0]
    assert study.logged("rollout/attempts") == [2]
    assert study.logged("train/loss") == []


def test_rollouts_without_an_end_of_text_are_counted_and_learned_from():
    network = TinyNetwork(NETWORK_SEED)
    with torch.no_grad():
        network.head[:, [EOS, EOT]] = 0
        network.embedding[:, 0], network.own[0], network.context[0] = 8.0, 5.0, 5.0
        network.head[0] = torch.where(torch.arange(16) < 2, -40.0, 40.0)
    everything = JudgeTask(lambda response, gold: 1.0)
    study = Study(dopsd(network=network, task=everything, teacher=SuffixTeacher(retain_ratio=0.0)))
    assert study.logged("rollout/no_end") == [1]
    assert study.logged("rollout/length") == [12]
    assert study.logged("train/states") == [6 * 6]
    assert len(study.losses) == 1


@pytest.mark.parametrize("updates", [1, 2, 4, 7])
def test_a_rollout_is_cut_into_updates_in_time_order(updates):
    method = dopsd(learning=Learning(updates_per_rollout=updates))
    study = Study(method)
    parts = [naive_loss(method, DRAWS, TinyNetwork(NETWORK_SEED), part=(i, updates)) for i in range(updates)]
    expected = [float(loss.detach()) for loss in parts if loss.requires_grad]
    assert [float(loss) for loss in study.losses] == pytest.approx(expected, rel=1e-4)
    assert study.logged("train/loss") == pytest.approx([sum(expected) / len(expected)], rel=1e-4)
    assert len(expected) <= updates


@pytest.mark.parametrize("updates", [1, 3, 4])
def test_every_wanted_state_is_in_one_part_and_parts_follow_in_time(updates):
    method = dopsd(learning=Learning(updates_per_rollout=updates), teacher=SuffixTeacher(retain_ratio=0.0))
    rollout = method.rollout.collect(
        method.network,
        DRAWS,
        method.chat.prompts(d.example for d in DRAWS),
        chat=method.chat,
        task=method.task,
        seed=0,
    )
    shown = method.chat.prompts(d.example for d in DRAWS)
    chunks = [states for states, _ in method._parts(rollout, shown)]
    assert len(chunks) == updates
    seen = [(int(r), int(t)) for chunk in chunks for r, t in zip(chunk.rollout, chunk.step, strict=True)]
    accepted, steps = rollout.accepted.tolist(), rollout.trajectory.steps.tolist()
    assert len(set(steps)) > 2
    assert sorted(seen) == [(r, t) for r in range(6) if accepted[r] for t in range(steps[r])]
    for row in range(6):
        assert [t for r, t in seen if r == row] == sorted(t for r, t in seen if r == row)
        sizes = [int((chunk.rollout == row).sum()) for chunk in chunks]
        assert max(sizes) - min(sizes) <= 1


def test_training_moves_the_student_one_optimizer_step_a_rollout():
    method = dopsd()
    before = copy.deepcopy(method.network.state_dict())
    trainer = train(method, steps=2)
    assert trainer.global_step == 2
    assert any(not torch.equal(value, before[name]) for name, value in method.network.state_dict().items())


def test_four_updates_a_rollout_are_four_optimizer_steps():
    sampler = BlockSampler(
        gen_length=12, block_length=4, denoising_steps=6, temperature=1.0, early_exit=False
    )
    learning = Learning(updates_per_rollout=4, learn_from="all")
    method = dopsd(
        rollout=Rollout(sampler=sampler), teacher=SuffixTeacher(retain_ratio=0.0), learning=learning
    )
    assert train(method, steps=2).global_step == 8


def test_training_on_nothing_accepted_changes_no_weight_and_takes_no_step():
    method = dopsd(task=NONE)
    before = copy.deepcopy(method.network.state_dict())
    trainer = train(method, steps=2)
    assert trainer.global_step == 0
    assert all(torch.equal(value, before[name]) for name, value in method.network.state_dict().items())
    assert trainer.logged_metrics["rollout/accepted"] == 0


def test_training_lowers_the_divergence_to_what_the_teacher_sees():
    method = dopsd(
        rollout=Rollout(sampler=SAMPLER, max_attempts=4), task=JudgeTask(lambda response, gold: 1.0)
    )
    first = Study(copy.deepcopy(method)).logged("distill/divergence")[0]
    train(method, steps=15, batch_size=6)
    assert Study(method).logged("distill/divergence")[0] < 0.7 * first


class Dropping(TinyNetwork):
    """The network with dropout before its logits."""

    def __init__(self):
        super().__init__(NETWORK_SEED)
        self.dropout = torch.nn.Dropout(0.5)
        self.modes: list[bool] = []

    def forward(self, canvas, attention_mask=None, at=None):
        self.modes.append(self.training)
        hidden = super().forward(canvas, attention_mask, at)
        return replace(hidden, states=self.dropout(hidden.states))


def test_dropout_acts_on_the_student_only_and_not_in_the_rollout():
    network = Dropping().train()
    study, plain = Study(dopsd(network=network)), Study(dopsd())
    for key in ("rollout/accepted", "rollout/length", "rollout/attempts"):
        assert study.logged(key) == plain.logged(key)
    assert network.modes[-1] is True
    assert not any(network.modes[:-1])
    assert network.training


def test_dropout_can_be_left_active_in_the_rollout():
    network = Dropping().train()
    Study(dopsd(network=network, rollout=Rollout(sampler=SAMPLER, dropout=True)))
    assert all(network.modes)


def test_the_prefix_teacher_needs_solutions():
    with pytest.raises(ValueError, match="judge-0"):
        Study(dopsd(teacher=ARPrefixTeacher()), [Draw(example=example(0), number=0)])


def test_a_moving_average_goes_through_a_checkpoint():
    method, restored, forgetful = (dopsd(teacher_weights=EMAWeights(decay=0.5)) for _ in range(3))
    train(method, steps=3)
    checkpoint: dict[str, Any] = {}
    method.on_save_checkpoint(checkpoint)
    restored.on_load_checkpoint(copy.deepcopy(checkpoint))
    for other in (restored, forgetful):
        other.network.load_state_dict(method.network.state_dict())
    expected, actual, without = (float(Study(m).losses[0]) for m in (method, restored, forgetful))
    assert actual == pytest.approx(expected, rel=1e-9)
    assert without != pytest.approx(expected, rel=1e-3)


def test_time_is_told_by_part():
    method = dopsd()
    Study(method)
    seconds = method.clock.read()
    assert seconds.keys() == {"rollout", "teacher", "student", "backward", "optimizer"}
    assert all(value > 0 for value in seconds.values())
    assert method.clock.read() == {}


def test_a_part_ends_when_its_work_is_done():
    clock = Clock(wait=lambda: time.sleep(0.05))
    with clock("part"):
        pass
    assert clock.read()["part"] >= 0.05
