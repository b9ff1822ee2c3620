"""Parts within a budget of tokens; running out of memory halves it once and repeats the update as if it had been so."""

from dataclasses import replace

import pytest
import torch
from fakes import TinyNetwork
from hypothesis import given
from hypothesis import strategies as st
from small_run import DRAWS, NETWORK_SEED, Study, assert_close, dopsd, shared, train
from torch.distributed.fsdp import FSDPModule

from dopsd.memory import TooLargeError
from dopsd.method.budget import Budget, Flop, Forwards
from dopsd.method.clock import Clock
from dopsd.method.micro_batches import MicroBatches
from dopsd.method.text_sft import Solutions, TextSFT
from dopsd.method.update import Update


class Scarce(TinyNetwork):
    """Draws a random number for each row, as dropout would, and runs out of memory at some forwards with gradients."""

    def __init__(self, *fails_at: int, in_backward: bool = False):
        super().__init__(NETWORK_SEED)
        self.fails_at, self.in_backward, self.forwards = fails_at, in_backward, 0

    def forward(self, canvas, *args, **kwargs):
        made = super().forward(canvas, *args, **kwargs)
        if not torch.is_grad_enabled():
            return made
        self.forwards += 1
        if self.forwards in self.fails_at:
            if not self.in_backward:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            made.states.register_hook(out_of_memory)
        return replace(made, states=(1 + torch.rand(len(canvas), 1, 1)) * made.states)


def out_of_memory(gradient: torch.Tensor) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory.")


def sft(network: TinyNetwork, **options) -> TextSFT:
    form = {"source": Solutions(), "gen_length": 8, "form": "exact_count", "tail": "trained"}
    return TextSFT(**form, **shared(network=network, **options))


def studied(make, network: TinyNetwork, budget: int) -> Study:
    torch.manual_seed(7)
    return Study(make(network=network, micro_batch_tokens=budget), DRAWS)


@given(st.integers(0, 40), st.integers(1, 30), st.integers(1, 200))
def test_parts_cover_all_rows_once_in_order_within_the_budget(rows, width, budget):
    parts = MicroBatches(budget).of(rows, width)
    assert [row for part in parts for row in range(rows)[part]] == list(range(rows))
    for part in parts:
        size = part.stop - part.start
        assert size == 1 or 1 < size * width <= budget


@pytest.mark.parametrize("make", [dopsd, sft])
@pytest.mark.parametrize("in_backward", [False, True])
def test_the_update_is_repeated_as_if_the_smaller_budget_had_been_there(make, in_backward, caplog):
    halved = studied(make, Scarce(2, in_backward=in_backward), 80)
    assert caplog.messages == ["out of memory: micro_batch_tokens=80 is now 40 for this run"]
    small, whole = (studied(make, Scarce(), budget) for budget in (40, 80))
    assert halved.micro_batches == small.micro_batches > whole.micro_batches
    assert halved.losses == small.losses
    assert halved.rows == small.rows
    assert_close(halved.gradients[0], small.gradients[0], rtol=0)


def test_a_budget_that_holds_more_than_there_is_falls_to_half_of_that(caplog):
    assert tried(10**6, rows=10, width=10, fails=1) == [[10], [5, 5]]
    assert "micro_batch_tokens=1000000 is now 50 " in caplog.text


def tried(budget: int, *, rows: int, width: int, fails: int, may_repeat: bool = True) -> list[list[int]]:
    """The sizes of the parts of each attempt, the first `fails` of which run out of memory."""
    attempts: list[list[int]] = []
    update = update_of(budget, rows=rows, width=width, is_sharded=not may_repeat)
    for part in update:
        if part.start == 0:
            attempts.append([])
        attempts[-1].append(part.stop - part.start)
        with update:
            if part.stop == rows and len(attempts) <= fails:
                raise torch.OutOfMemoryError("CUDA out of memory.")
    return attempts


def update_of(budget: int, *, rows: int, width: int, is_sharded: bool = False) -> Update:
    network = TinyNetwork(0)
    if is_sharded:
        network.__class__ = type("Sharded", (FSDPModule, TinyNetwork), {})
    return Update(
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        manual_backward=lambda loss: loss.backward(),
        gradient_clip=1.0,
        micro_batches=MicroBatches(budget),
        rows=rows,
        width=width,
        of=Forwards(rows=rows, tokens=rows * width),
        clock=Clock(),
        budget=Budget(Flop(forward=0, backward=0)),
        on_progress=lambda part, done, total: None,
    )


def test_the_second_time_it_stops_and_says_what_to_try():
    with pytest.raises(TooLargeError, match=r"micro_batch_tokens=40: out of memory .* \(halved") as error:
        tried(80, rows=10, width=10, fails=2)
    assert error.value.smaller == 20


def test_where_others_take_part_in_the_forwards_it_stops_at_once():
    with pytest.raises(TooLargeError, match="micro_batch_tokens=80: out of memory") as error:
        tried(80, rows=10, width=10, fails=1, may_repeat=False)
    assert error.value.smaller == 40


@pytest.mark.parametrize(("budget", "rows"), [(1, 10), (10, 10), (19, 10), (10**6, 1)])
def test_one_row_cannot_be_divided(budget, rows):
    with pytest.raises(TooLargeError, match=f"micro_batch_tokens={budget}: ") as error:
        tried(budget, rows=rows, width=10, fails=1)
    assert error.value.smaller is None


def test_other_errors_are_not_repeated():
    with pytest.raises(RuntimeError, match="shape"), update_of(80, rows=10, width=10):
        raise RuntimeError("shape")


def test_the_smaller_budget_is_kept_for_the_steps_that_follow():
    method = dopsd(network=Scarce(2), micro_batch_tokens=80)
    train(method, steps=2)
    assert method.micro_batches.tokens == 40


@pytest.mark.parametrize(
    ("tries", "line"), [(1, "prompts_per_step=6: "), (4, r"rollout\.parallel_tries=4: ")]
)
def test_a_rollout_that_does_not_fit_names_what_to_lower(tries, line):
    method = dopsd()
    method.rollout = type(method.rollout)(sampler=method.rollout.sampler, parallel_tries=tries)
    method.network.register_forward_hook(lambda *_: out_of_memory(torch.empty(0)))
    with pytest.raises(TooLargeError, match=line + "out of memory in a rollout") as error:
        Study(method)
    assert error.value.smaller == error.value.value // 2
