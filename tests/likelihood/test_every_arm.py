"""What holds for every likelihood that is found in the config tree."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from enumeration import MASK, all_responses, finished, log_p, prompts_of, table_network, values
from hydra.utils import instantiate
from omegaconf import OmegaConf

from dopsd.diffusion.counted import counted
from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.responses import Responses
from dopsd.diffusion.trajectory import NEVER
from dopsd.diffusion.views import Views
from dopsd.entry.composing import CONF
from dopsd.likelihood.likelihood import Likelihood

FILES = {file.stem: OmegaConf.load(file) for file in sorted((Path(CONF) / "likelihood").glob("*.yaml"))}
ARMS: dict[str, Likelihood] = {name: instantiate(node) for name, node in FILES.items()}
BOUNDS = ("elbo", "elbo_coupled")  # they show what follows the answer
UNMASKED = {"mean_field": {"prompt_mask": 0.0}, "spg": {"context_mask": 0.0}}
END = (0,)
PROMPTS = [(1, 2, 1), (2,), (1, 1, 2, 2, 1)]
RESPONSES = [(1, 2, 1, 1, 2, 0, 0, 0), (2, 0, 0, 0, 0, 0, 0, 0), (1, 1, 2, 2, 1, 2, 1, 2)]
KEYS = example_keys(3, [0, 1, 2])
TRAJECTORY = finished(RESPONSES, block_length=4)
SCORED = counted(TRAJECTORY, END)

every_arm = pytest.mark.parametrize("name", ARMS)


def views_of(name: str, *, trajectory=TRAJECTORY, scored=SCORED, prompts=PROMPTS, keys=KEYS) -> Views:
    prompts = prompts_of(prompts) if isinstance(prompts, list) else prompts
    return ARMS[name].views(
        Responses(trajectory=trajectory, scored=scored, prompts=prompts, keys=keys), mask_id=MASK
    )


def described(views: Views, row: int) -> list[tuple]:
    """A row's views without what padding adds to them."""
    found = []
    for n in (views.row == row).nonzero()[:, 0].tolist():
        real = views.is_real[n]
        prompt = views.prompts.tokens[n][views.prompts.attention_mask[n]]
        read = zip(
            views.columns[n][real].tolist(),
            views.tokens[n][real].tolist(),
            views.weight[n][real].tolist(),
            strict=True,
        )
        found.append((tuple(prompt.tolist()), tuple(views.canvas[n].tolist()), tuple(read)))
    return found


def test_all_arms_of_the_package_are_here() -> None:
    assert {type(arm).__name__ for arm in ARMS.values()} == {
        cls.__name__ for cls in Likelihood.__subclasses__()
    }


@every_arm
def test_a_view_reads_masked_tokens_of_the_answer(name: str) -> None:
    views = views_of(name)
    assert set(views.row.tolist()) == {0, 1, 2}
    assert views.is_real.any(1).all()
    for n, row in enumerate(views.row.tolist()):
        real = views.is_real[n]
        columns = views.columns[n][real]
        assert len(set(columns.tolist())) == len(columns)
        assert SCORED[row, columns].all()
        assert (views.canvas[n, columns] == MASK).all()
        assert views.tokens[n][real].tolist() == TRAJECTORY.tokens[row, columns].tolist()
        shown = views.canvas[n] != MASK
        assert torch.equal(views.canvas[n, shown], TRAJECTORY.tokens[row, shown])
        assert (views.weight[n] != 0).tolist() == real.tolist()


@every_arm
def test_a_rows_views_do_not_depend_on_the_batch_or_on_padding(name: str) -> None:
    together = views_of(name)
    wider = prompts_of([*PROMPTS, (1,) * 9]).rows(torch.arange(3))
    padded = views_of(name, prompts=wider)
    for row in range(3):
        alone = ARMS[name].views(
            Responses(
                trajectory=TRAJECTORY[torch.tensor([row])],
                scored=SCORED[[row]],
                prompts=prompts_of([PROMPTS[row]]),
                keys=KEYS[[row]],
            ),
            mask_id=MASK,
        )
        assert described(together, row) == described(alone, 0) == described(padded, row)


@every_arm
def test_the_masks_do_not_depend_on_the_prompt(name: str) -> None:
    """Of two prompts the last tokens are masked alike, and the canvases are the same."""
    other = [tuple(3 - token for token in prompt) for prompt in PROMPTS]
    own, others = views_of(name), views_of(name, prompts=other)
    assert torch.equal(own.canvas, others.canvas)
    assert torch.equal(own.weight, others.weight)
    assert torch.equal(own.prompts.tokens == MASK, others.prompts.tokens == MASK)
    longer = views_of(name, prompts=[(2, 1, *prompt) for prompt in PROMPTS])
    assert torch.equal(longer.canvas, own.canvas)
    for short, long in zip(own.prompts.tokens.tolist(), longer.prompts.tokens[:, 2:].tolist(), strict=True):
        hidden = [column for column, token in enumerate(short) if token == MASK]
        assert all(long[column] == MASK for column in hidden)


@every_arm
def test_only_the_arms_that_say_so_mask_the_prompt(name: str) -> None:
    views = views_of(name)
    same = torch.equal(views.prompts.tokens, prompts_of(PROMPTS).tokens[views.row])
    assert same == (name not in UNMASKED)
    arm = instantiate(FILES[name], **UNMASKED.get(name, {}))
    views = arm.views(
        Responses(trajectory=TRAJECTORY, scored=SCORED, prompts=prompts_of(PROMPTS), keys=KEYS), mask_id=MASK
    )
    assert torch.equal(views.prompts.tokens, prompts_of(PROMPTS).tokens[views.row])


@every_arm
def test_masks_follow_from_the_keys(name: str) -> None:
    views, again = views_of(name), views_of(name)
    assert [described(views, row) for row in range(3)] == [described(again, row) for row in range(3)]
    other = views_of(name, keys=example_keys(3, [0, 1, 2], attempt=1))
    differ = [described(views, row) for row in range(3)] != [described(other, row) for row in range(3)]
    assert differ == (name not in ("exact_order", "trajectory"))


@every_arm
def test_tokens_behind_the_answer_do_not_matter(name: str) -> None:
    """Unless they are shown: the bounds leave them as they stand, and mask none of them."""
    tail = torch.where(SCORED, TRAJECTORY.tokens, 2)
    views, other = views_of(name), views_of(name, trajectory=replace(TRAJECTORY, tokens=tail))
    behind = ~SCORED[views.row]
    if name in BOUNDS:
        assert torch.equal(views.canvas[behind], TRAJECTORY.tokens[views.row][behind])
        assert torch.equal(other.canvas[behind], tail[other.row][behind])
    else:
        assert torch.equal(views.canvas[behind], other.canvas[behind])
    assert torch.equal(views.canvas[~behind], other.canvas[~behind])
    for field in ("row", "columns", "weight"):
        assert torch.equal(getattr(views, field), getattr(other, field))
    assert torch.equal(views.tokens[views.is_real], other.tokens[other.is_real])


@every_arm
def test_what_an_early_exit_filled_up_is_never_read(name: str) -> None:
    unmasked = TRAJECTORY.step_map < 4
    trajectory = replace(TRAJECTORY, step_map=TRAJECTORY.step_map.where(unmasked, NEVER))
    scored = counted(trajectory, END)
    assert scored.sum(1).tolist() == [4, 2, 4]
    views = views_of(name, trajectory=trajectory, scored=scored)
    assert not (views.columns[views.is_real] >= 4).any()


@every_arm
def test_any_slicing_of_the_views_gives_the_same(name: str) -> None:
    network, views = table_network(1), views_of(name)
    whole = log_p(network, views)
    parts = [log_p(network, views[start : start + 2]) for start in range(0, len(views), 2)]
    assert torch.equal(torch.cat(parts), whole)
    shuffled = torch.arange(len(views)).flip(0)
    assert torch.equal(log_p(network, views[shuffled]), whole[shuffled])


@every_arm
@pytest.mark.parametrize("positive", [True, False])
def test_positions_that_are_not_real_have_no_value_and_no_gradient(name: str, positive: bool) -> None:
    views = views_of(name)
    clean = log_p(table_network(2), views)
    dirty = clean.where(views.is_real, torch.nan)
    found = []
    for given in (clean, dirty):
        given.requires_grad_()
        combined = ARMS[name].combine(views, given, 3, positive=torch.full((3,), positive))
        (gradient,) = torch.autograd.grad(combined.square().sum(), given)
        assert (gradient[~views.is_real] == 0).all()
        assert (gradient[views.is_real] != 0).all()
        found.append((combined, gradient))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


@every_arm
def test_a_value_for_each_token_or_for_each_sequence(name: str) -> None:
    arm, network, views = ARMS[name], table_network(2), views_of(name)
    exact = values(arm, network, views, 3)
    assert exact.shape == ((3, 8) if arm.per_token else (3,))
    if arm.per_token:
        assert torch.equal(exact != 0, SCORED)
    single = arm.combine(views, log_p(network, views).float(), 3, positive=torch.ones(3).bool())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), exact, rtol=1e-6, atol=1e-6)


@every_arm
@pytest.mark.parametrize("empty", [[1], [0, 1, 2]])
def test_a_row_without_an_answer_has_no_views_and_the_value_zero(name: str, empty: list[int]) -> None:
    scored = SCORED.clone()
    scored[empty] = False
    views = views_of(name, scored=scored)
    assert set(views.row.tolist()) == {0, 1, 2} - set(empty)
    for positive in (True, False):
        found = values(ARMS[name], table_network(2), views, 3, positive)
        assert found.isfinite().all()
        assert (found[empty] == 0).all()


@every_arm
def test_every_number_stands_in_the_config(name: str) -> None:
    numbers = {key: value for key, value in FILES[name].items() if key != "_target_"}
    for key in numbers:
        with pytest.raises(ValueError, match=key):
            type(ARMS[name])(**{k: v for k, v in numbers.items() if k != key})


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("mean_field", "prompt_mask", -0.1),
        ("mean_field", "prompt_mask", 1.1),
        ("elbo", "samples", 0),
        ("elbo", "masks_per_count", 0),
        ("elbo_coupled", "samples", 0),
        ("coupled", "lowest_ratio", 0.0),
        ("coupled", "highest_ratio", 1.0),
        ("coupled", "lowest_ratio", 0.9),
        ("spg", "samples", 0),
        ("spg", "beta", 0.0),
        ("spg", "upper_share", 1.5),
        ("spg", "context_mask", -1),
    ],
)
def test_a_number_out_of_range_is_refused(name: str, key: str, value: float) -> None:
    numbers = {k: v for k, v in FILES[name].items() if k != "_target_"}
    with pytest.raises(ValueError, match=key):
        type(ARMS[name])(**{**numbers, key: value})


@every_arm
def test_with_one_token_and_nothing_else_hidden_all_are_its_log_p(name: str) -> None:
    """L = 1: every estimator is exact (DiffuCoder's pair weighs 3/2 on average, so its mean over keys is)."""
    arm, network = instantiate(FILES[name], **UNMASKED.get(name, {})), table_network(5)
    responses = all_responses(1)
    rows = len(responses)
    exact = torch.stack([network((1,), (MASK,))[0, response[0]] for response in responses])
    views = arm.views(
        Responses(
            trajectory=finished(responses),
            scored=torch.ones(rows, 1).bool(),
            prompts=prompts_of([(1,)] * rows),
            keys=example_keys(0, range(rows)),
        ),
        mask_id=MASK,
    )
    for positive in (True, False):
        found = values(arm, network, views, rows, positive).reshape(rows)
        if name == "coupled":
            weight = views.weight[views.is_real].view(rows, 2)
            assert (weight[:, 0] == 0.5).all()
            found = found / weight.sum(1)
        torch.testing.assert_close(found, exact, rtol=1e-6, atol=1e-6)
