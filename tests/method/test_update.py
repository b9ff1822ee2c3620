"""What all methods share: one optimizer step from accumulated gradients, and the learning rate."""

import math

import pytest
import torch
from fakes import TinyNetwork
from hypothesis import given
from hypothesis import strategies as st
from small_run import shared, train

from dopsd.finite import NotFiniteError
from dopsd.method.budget import Forwards
from dopsd.method.method import Method
from dopsd.method.schedule import Schedule
from dopsd.method.spending import Spending


class Constant(Method):
    """Its loss is a known multiple of the sum of one weight matrix, in `parts` micro-batches."""

    def __init__(self, factor: float = 1.0, parts: int = 1, **options):
        super().__init__(**shared(**{"network": TinyNetwork(0)} | options))
        self.factor, self.parts, self.norms, self.rates = factor, parts, [], []

    def training_step(self, batch, batch_idx):
        self.rates.append(self.optimizers().param_groups[0]["lr"])  # type: ignore[union-attr]
        width = self.micro_batches.tokens
        of = Forwards(rows=self.parts, tokens=self.parts * width)
        update = self.update(rows=self.parts, width=width, of=of)
        for _ in update:
            with update:
                update.backward(self.factor / self.parts * self.network.head.sum(), torch.ones(2))
        norm, figures = update.step()
        assert figures.tolist() == [self.parts] * 2
        self.norms.append(float(norm))

    def most_spent(self, load):
        rows = Forwards(rows=self.parts, tokens=self.parts * self.micro_batches.tokens)
        return Spending(updates=[rows])


def moved(method: Constant, steps: int = 1) -> float:
    before = method.network.head.detach().clone()
    train(method, steps=steps)
    change = before - method.network.head.detach()
    torch.testing.assert_close(change, change.mean().expand_as(change))
    return float(change.mean())


def test_micro_batches_add_up_and_gradients_do_not_leak_into_the_next_step():
    for parts in (1, 3):
        method = Constant(factor=2.0, parts=parts)
        assert moved(method, steps=3) == pytest.approx(3 * 0.05 * 2.0)
        entries = method.network.head.numel()
        assert method.norms == pytest.approx([2.0 * math.sqrt(entries)] * 3)


def test_the_gradient_is_clipped_to_its_norm_and_the_norm_before_clipping_returned():
    method = Constant(factor=5.0, gradient_clip=0.2)
    entries = method.network.head.numel()
    assert moved(method) == pytest.approx(0.05 * 0.2 / math.sqrt(entries), rel=1e-4)
    assert method.norms == pytest.approx([5.0 * math.sqrt(entries)])


def test_the_learning_rate_follows_the_schedule_step_by_step():
    schedule = Schedule(warmup_steps=2, decay="cosine", final=0.1)
    method = Constant(schedule=schedule, max_steps=6)
    train(method, steps=6)
    assert method.rates == pytest.approx([0.05 * schedule.factor(step, 6) for step in range(6)])


def test_only_trainable_weights_are_given_to_the_optimizer():
    network = TinyNetwork(0)
    network.embedding.requires_grad_(False)
    given_to: list[torch.nn.Parameter] = []

    def optimizer(parameters):
        given_to.extend(parameters)
        return torch.optim.SGD(given_to, lr=0.1)

    Constant(network=network, optimizer=optimizer).configure_optimizers()
    assert {id(p) for p in given_to} == {id(p) for p in network.parameters() if p.requires_grad}


@given(st.integers(0, 20), st.integers(1, 50), st.floats(0, 1))
def test_schedules_warm_up_then_hold_or_fall_to_their_final_share(warmup, after, final):
    total = warmup + after
    constant = Schedule(warmup_steps=warmup)
    cosine = Schedule(warmup_steps=warmup, decay="cosine", final=final)
    for schedule in (constant, cosine):
        factors = [schedule.factor(step, total) for step in range(total + 5)]
        assert all(0 < factor <= 1 for factor in factors[:total])
        assert factors[:warmup] == pytest.approx([(step + 1) / (warmup + 1) for step in range(warmup)])
        assert factors[warmup] == 1
    straight = Schedule(warmup_steps=warmup, decay="linear", final=final)
    lines = [final + (1 - final) * (1 - part / after) for part in range(after + 1)]
    assert [straight.factor(step, total) for step in range(warmup, total + 1)] == pytest.approx(lines)
    assert straight.factor(total + 100, total) == pytest.approx(final)
    assert [constant.factor(step, total) for step in range(warmup, total)] == [1.0] * after
    falling = [cosine.factor(step, total) for step in range(warmup, total + 1)]
    assert falling == sorted(falling, reverse=True)
    assert falling[-1] == pytest.approx(final)
    assert cosine.factor(total + 100, total) == pytest.approx(final)
    assert cosine.factor(warmup + after // 2, total) == pytest.approx(
        final + (1 - final) * (1 + math.cos(math.pi * (after // 2) / after)) / 2
    )


@pytest.mark.parametrize(
    ("key", "value"), [("warmup_steps", -1), ("decay", "lineal"), ("final", 1.5), ("warmup", 3)]
)
def test_bad_schedules_are_refused_by_name(key, value):
    with pytest.raises(ValueError, match=key):
        Schedule(**{key: value})


def test_training_switches_the_network_to_train_mode():
    method = Constant()
    method.network.eval()
    train(method, steps=1)
    assert method.network.training


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_stops_before_a_weight_is_changed(factor):
    method = Constant(factor=factor)
    before = method.network.head.detach().clone()
    with pytest.raises(NotFiniteError, match="gradient norm"):
        train(method, steps=1)
    assert torch.equal(method.network.head, before)
