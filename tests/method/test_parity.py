"""An update under each preset equals the transcription of its rules, on the same trajectories and draws."""

from functools import cache

import pytest
import torch
from fakes import CHAT, EOS, EOT, TinyNetwork, example
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from released_rules import (
    Written,
    code_chunks,
    code_losses,
    code_revealed,
    code_states,
    code_supervised,
    paper_loss,
    paper_revealed,
    paper_supervised,
)
from small_run import DRAWS, NETWORK_SEED, Study, dopsd, gradients_of

from dopsd.config.build import build
from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.trajectory import Trajectory
from dopsd.distillation.targets import Targets
from dopsd.entry.composing import CONF
from dopsd.rollout import RolloutBatch
from dopsd.rollout.cost import Cost
from dopsd.task import Verdict

PRESETS = ("paper", "code", "ours")
SMALL = ("gen_length=24", "block_length=4", "denoising_steps=12", "model.init=random")
COUNTABLE = ("parity.vocab_top_k=5", "parity.loss_dtype=float32")  # a vocabulary of 16, and digits to compare
ENDS = {0: {}, 1: {18: EOS}, 2: {13: EOT, 14: EOS}, 3: {2: EOS}, 4: {10: EOT}, 5: {11: EOS, 15: EOS}}


@cache
def composed(preset: str) -> DictConfig:
    with initialize_config_dir(CONF, version_base="1.3"):
        return compose("train", [f"parity={preset}", *SMALL, *(COUNTABLE if preset == "code" else ())])


def trajectories() -> Trajectory:
    """Six whole canvases, two tokens a step, with ends of text and of turn at places of their own."""
    random = torch.Generator().manual_seed(5)
    tokens = torch.randint(4, 16, (6, 24), generator=random)
    order = torch.rand(6, 6, 4, generator=random).argsort(-1)
    times = order // 2 + 2 * torch.arange(6)[:, None]
    for row, ends in ENDS.items():
        for place, token in ends.items():
            tokens[row, place] = token
    return Trajectory(tokens=tokens, step_map=times.flatten(1), steps=torch.full((6,), 12), block_length=4)


def rolled_out(accepted: list[bool]) -> RolloutBatch:
    return RolloutBatch(
        trajectory=trajectories(),
        keys=example_keys(0, range(6)),
        prompt=torch.arange(6),
        attempt=torch.zeros(6, dtype=torch.int64),
        attempts=torch.ones(6, dtype=torch.int64),
        responses=[""] * 6,
        verdicts=[Verdict(accepted=it, score=float(it)) for it in accepted],
        prompts=6,
        cost=Cost(),
    )


RIGHT = [True, True, True, True, False, True]


def written() -> list[Written]:
    batch = rolled_out(RIGHT)
    return [
        Written(
            prompt=CHAT.encode_prompt(example(row).prompt),
            tokens=batch.trajectory.tokens[row].tolist(),
            times=batch.trajectory.step_map[row].tolist(),
            right=RIGHT[row],
            key=batch.keys[row],
            block_length=4,
        )
        for row in range(6)
    ]


def method_of(preset: str, accepted: list[bool] = RIGHT):
    nodes = {"teacher": "teacher", "supervision": "topk", "objective": "objective", "learning": "learning"}
    options = {name: build(composed(preset), key) for name, key in nodes.items()}
    method = dopsd(rollout=build(composed(preset), "rollout"), **options)
    method.roll_out = lambda batch, prompts: rolled_out(accepted)  # type: ignore[method-assign]
    return method


def parts_of(preset: str):
    """The states of each update, their teacher's view, and what is supervised, as the method has them."""
    method = method_of(preset)
    method.log_step = lambda values: None  # type: ignore[method-assign]
    shown = CHAT.prompts(draw.example for draw in DRAWS)
    return method, list(method._parts(rolled_out(RIGHT), shown))


@pytest.mark.parametrize("preset", PRESETS)
def test_loss_and_gradient_of_every_update(preset: str) -> None:
    method, teacher = method_of(preset), TinyNetwork(NETWORK_SEED)
    study = Study(method)
    if preset == "code":
        expected = code_losses(written(), method.network, teacher)
    else:
        clip = 0.05 if preset == "paper" else torch.inf
        expected = [paper_loss(written(), method.network, teacher, clip=clip)]
    assert len(study.losses) == len(expected)
    for loss, gradients, wanted in zip(study.losses, study.gradients, expected, strict=True):
        method.network.zero_grad()
        wanted.backward()
        assert float(loss) == pytest.approx(float(wanted.detach()), abs=1e-6)
        for name, gradient in gradients_of(method.network).items():
            torch.testing.assert_close(gradients[name], gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("preset", PRESETS)
def test_kept_states_chunks_reveal_sets_and_supervised_positions(preset: str) -> None:
    method, parts = parts_of(preset)
    revealed, supervised = (
        (code_revealed, code_supervised) if preset == "code" else (paper_revealed, paper_supervised)
    )
    rows, found = written(), []
    for states, view in parts:
        targets = Targets.of(TinyNetwork(NETWORK_SEED), states, view, method.supervision, mask_id=2)
        found.append([(int(r), int(t)) for r, t in zip(states.rollout, states.step, strict=True)])
        whole = TinyNetwork(NETWORK_SEED)(*view.prompts.followed_by(view.canvas)).logits().detach()
        for i, (row, t) in enumerate(found[-1]):
            assert set(view.revealed[i].nonzero()[:, 0].tolist()) == revealed(rows[row], t)
            wanted = set(supervised(rows[row], t, whole[i, view.prompts.tokens.shape[1] :]))
            assert set(targets.columns[i][targets.is_real[i]].tolist()) == wanted
    if preset == "code":
        chunks = {row: code_chunks(it) for row, it in enumerate(rows) if it.right}
        assert found == [[(row, t) for row, of in chunks.items() if of for t in of[n]] for n in range(4)]
    else:  # but for states in which nothing is left to be supervised
        assert found == [
            [(row, t) for row in range(6) if RIGHT[row] for t in range(12) if _is_open(rows[row], t)]
        ]


def _is_open(it: Written, t: int) -> bool:
    return bool(set(it.open_in_block(t, it.canvas(t))) - paper_revealed(it, t))


def test_the_trajectories_tell_the_rules_apart() -> None:
    """One is too short for the release, one ends in the block that it is in, one has an end of turn first."""
    kept = [len(code_states(it)) for it in written()]
    assert kept[0] == 10
    assert [len(code_chunks(it)) for it in written()] == [4, 4, 4, 0, 4, 4]
    assert kept[3] < 4 < kept[2] < kept[1]
    nothing = [t for t in code_states(written()[2]) if not code_revealed(written()[2], t)]
    assert nothing
    assert all(paper_revealed(written()[2], t) for t in nothing[:1])


def test_a_trajectory_that_the_release_cannot_cut_is_left_out_and_counted() -> None:
    study = Study(method_of("code"))
    assert study.logged("train/too_short") == [1]
    assert study.logged("train/examples") == [4]
    assert Study(method_of("ours")).logged("train/too_short") == []
