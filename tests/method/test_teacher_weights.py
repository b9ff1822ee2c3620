"""Whose weights the teacher runs with, for a student with all weights trained and for one with LoRA."""

import json

import pytest
import torch
from fakes import EOS, EOT, MASK, VOCABULARY, TinyNetwork
from small_run import DRAWS, Study, dopsd, train
from torch import nn

from dopsd.diffusion.sampler import BlockSampler
from dopsd.method.teacher_weights import CheckpointWeights, EMAWeights, FixedWeights, LiveWeights
from dopsd.model import LLaDAConfig, MaskedDiffusionLM, add_lora, save_weights
from dopsd.model.vocabulary import check_same_words
from dopsd.rollout import Rollout

CANVAS = torch.tensor([[3, 4, 5, MASK, MASK], [6, 7, MASK, 8, MASK]])


def full() -> nn.Module:
    return TinyNetwork(1)


def llada() -> MaskedDiffusionLM:
    torch.manual_seed(0)
    ids = {"mask_token_id": MASK, "eos_token_id": EOS, "pad_token_id": EOS, "eot_token_id": EOT}
    sizes = {"d_model": 16, "n_heads": 2, "n_layers": 2, "mlp_hidden_size": 24, "vocab_size": VOCABULARY}
    return MaskedDiffusionLM(LLaDAConfig(**sizes, **ids, max_sequence_length=64))  # type: ignore[arg-type]


def adapted() -> nn.Module:
    return add_lora(
        llada().requires_grad_(False), r=2, alpha=4.0, dropout=0.0, targets=["q_proj", "down_proj"]
    )


every_student = pytest.mark.parametrize("make", [full, adapted], ids=["all weights", "lora"])


def move(network: nn.Module, seed: int) -> None:
    """What an optimizer step does: the trained weights change in place."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=random, dtype=parameter.dtype))


@torch.no_grad()
def logits(network) -> torch.Tensor:
    return network(CANVAS, torch.ones_like(CANVAS, dtype=torch.bool)).logits()


def of_teacher(weights) -> torch.Tensor:
    with weights.network() as network:
        return logits(network)


def trained(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in network.named_parameters() if p.requires_grad}


@every_student
def test_fixed_weights_stay_those_at_the_start_while_the_student_moves(make):
    student = make()
    weights = FixedWeights().attach(student)
    start = logits(student)
    for seed in range(3):
        move(student, seed)
        weights.after_update()
        assert torch.equal(of_teacher(weights), start)
        assert not torch.allclose(logits(student), start)


@every_student
def test_live_weights_are_the_students(make):
    student = make()
    weights = LiveWeights().attach(student)
    for seed in range(3):
        assert torch.equal(of_teacher(weights), logits(student))
        move(student, seed)
        weights.after_update()


@every_student
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_ema_weights_are_the_moving_average_of_the_trained_weights(make, decay):
    student, reference = make(), make()
    reference.load_state_dict(student.state_dict())
    weights = EMAWeights(decay=decay).attach(student)
    average = trained(student)
    for seed in range(4):
        move(student, seed)
        weights.after_update()
        now = trained(student)
        average = {name: decay * value + (1 - decay) * now[name] for name, value in average.items()}
    reference.load_state_dict(reference.state_dict() | average)
    torch.testing.assert_close(of_teacher(weights), logits(reference), rtol=1e-4, atol=1e-5)
    assert weights.state().keys() == now.keys()
    for name, value in weights.state().items():
        torch.testing.assert_close(value, average[name], rtol=1e-5, atol=1e-6)
        assert not value.requires_grad


@every_student
def test_an_average_can_be_kept_and_restored(make):
    student = make()
    weights = EMAWeights(decay=0.7).attach(student)
    for seed in range(2):
        move(student, seed)
        weights.after_update()
    kept = {name: value.clone() for name, value in weights.state().items()}
    again = EMAWeights(decay=0.7).attach(student)
    assert not torch.equal(of_teacher(again), of_teacher(weights))
    again.restore(kept)
    assert torch.equal(of_teacher(again), of_teacher(weights))
    move(student, 5)
    for part in (weights, again):
        part.after_update()
    assert torch.equal(of_teacher(again), of_teacher(weights))


@every_student
@pytest.mark.parametrize("arm", [FixedWeights(), LiveWeights(), EMAWeights()], ids=["fixed", "live", "ema"])
def test_lending_the_network_leaves_the_student_as_it_was(make, arm):
    student = make()
    weights = arm.attach(student)
    before, flags = trained(student), [p.requires_grad for p in student.parameters()]
    move(student, 0)
    moved, own = trained(student), logits(student)
    of_teacher(weights)
    assert torch.equal(logits(student), own)
    assert [p.requires_grad for p in student.parameters()] == flags
    for name, value in trained(student).items():
        assert torch.equal(value, moved[name])
        assert not torch.equal(value, before[name])


def test_it_says_how_many_bytes_it_keeps_beside_the_student():
    arms = (FixedWeights(), LiveWeights(), EMAWeights())

    def kept(student: nn.Module) -> list[int]:
        return [arm.attach(student).kept_bytes for arm in arms]

    def size(student: nn.Module) -> int:
        return sum(p.numel() * p.element_size() for p in student.parameters() if p.requires_grad)

    assert kept(full()) == [size(full()), 0, size(full())]
    assert kept(adapted()) == [0, 0, size(adapted())]
    student = adapted()
    move(student, 0)  # as an adapter that was loaded
    assert kept(student) == [size(student), 0, size(student)]


@every_student
@pytest.mark.parametrize("arm", [FixedWeights(), LiveWeights(), EMAWeights()], ids=["fixed", "live", "ema"])
def test_every_arm_trains_only_what_is_to_be_trained(make, arm):
    student = make()
    frozen = {name: p.detach().clone() for name, p in student.named_parameters() if not p.requires_grad}
    method = dopsd(network=student, teacher_weights=arm)
    before = trained(student)
    assert train(method, steps=2).global_step >= 1
    assert any(not torch.equal(value, before[name]) for name, value in trained(student).items())
    for name, parameter in student.named_parameters():
        if name in frozen:
            assert torch.equal(parameter, frozen[name])
            assert not parameter.requires_grad
            assert parameter.grad is None


def test_the_teacher_of_a_step_is_the_arms():
    """Right after attaching all arms agree; once the student has moved, each gives a loss of its own."""
    losses = {
        name: float(Study(dopsd(teacher_weights=arm)).losses[0])
        for name, arm in {"fixed": FixedWeights(), "live": LiveWeights(), "ema": EMAWeights()}.items()
    }
    assert losses["fixed"] == pytest.approx(losses["ema"], rel=1e-6)
    assert losses["live"] != pytest.approx(losses["fixed"], rel=1e-2)


def test_the_real_network_gives_the_same_loss_in_any_micro_batch():
    """With padded prompts through true attention, in float32."""
    sampler = BlockSampler(gen_length=12, block_length=4, denoising_steps=6, temperature=1.0)
    losses = []
    for budget in (1, 100, 10**6):
        torch.manual_seed(0)
        method = dopsd(
            network=adapted(),
            rollout=Rollout(sampler=sampler, max_attempts=2),
            micro_batch_tokens=budget,
        )
        losses.append(float(Study(method, DRAWS).losses[0]))
    assert losses[0] > 0
    assert losses == [pytest.approx(losses[0], rel=1e-4)] * 3


def test_tokens_are_compared_as_they_are_once_both_are_loaded():
    arm = CheckpointWeights(path="there", dtype="float32")
    ids = {"eos_token_id": EOS, "eot_token_id": EOT}
    before, after, other = (
        LLaDAConfig(vocab_size=size, mask_token_id=mask, **ids)  # type: ignore[arg-type]
        for size, mask in ((VOCABULARY, None), (VOCABULARY + 1, VOCABULARY), (VOCABULARY, MASK))
    )
    for one, another in ((before, after), (after, before)):
        arm.check(one, another)
    with pytest.raises(ValueError, match=f"vocab_size={VOCABULARY}, must be {VOCABULARY + 1}"):
        arm.check(before, other)


def test_a_token_must_have_the_students_id(tmp_path):
    words = {"ours": {"a": 0, "b": 1}, "more": {"a": 0, "b": 1, "c": 2}, "theirs": {"b": 0, "a": 1}}
    for name, vocabulary in words.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "vocab.json").write_text(json.dumps(vocabulary))
    check_same_words(tmp_path / "more", tmp_path / "ours")
    check_same_words(tmp_path / "ours", tmp_path / "more")
    with pytest.raises(ValueError, match="another vocabulary: 'b' is 0, not 1 as in"):
        check_same_words(tmp_path / "theirs", tmp_path / "ours")


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_a_decay_outside_its_range_is_refused(decay):
    with pytest.raises(ValueError, match="decay"):
        EMAWeights(decay=decay)


def test_another_model_stays_what_it_is_and_must_have_the_students_tokens(tmp_path):
    other, student = llada(), adapted()
    move(other, seed=3)
    save_weights(other, tmp_path)
    arm = CheckpointWeights(path=str(tmp_path), dtype="float32")
    teacher = arm.attach(student)
    assert teacher.kept_bytes == sum(p.numel() * p.element_size() for p in other.parameters())
    move(student, seed=4)
    assert torch.equal(of_teacher(teacher), logits(other))
    assert not torch.equal(of_teacher(teacher), logits(student))
    student.config.mask_token_id = MASK + 1
    with pytest.raises(ValueError, match=f"mask_token_id={MASK}, must be {MASK + 1} as the student's"):
        arm.attach(student)
