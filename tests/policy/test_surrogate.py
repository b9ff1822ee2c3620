"""Policy-gradient losses: expectations over all groups of a tabular policy, and plain loops in float64."""

import math
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dopsd.policy.advantage import Advantage
from dopsd.policy.clipped_ratio import ClippedRatio
from dopsd.policy.surrogate import Valuation
from dopsd.policy.weighted_likelihood import PlainGradient, SoftmaxWeights

REWARD = torch.tensor([0.0, 1.0], dtype=torch.float64)
NORMALISATIONS = ("tokens", "groups", "completions", "length")


def clipped(**changed) -> ClippedRatio:
    plain = {
        "ratio": "token",
        "divided_by": "nothing",
        "clip_low": 0.5,
        "clip_high": 0.5,
        "beta": 0.0,
        "kl": "k3",
    }
    return ClippedRatio(**{**plain, "normalisation": "completions", **changed})


def valuation(value, old=None, reference=None, *, advantage, counted=None, **totals) -> Valuation:
    """Completions, all of one group and all there, and, unless it is said, all tokens counted."""
    counted = torch.ones(len(value), 1, dtype=torch.bool) if counted is None else counted
    old = value.detach() if old is None else old
    tokens = int(counted.sum())
    totals = {"completions": len(value), "groups": 1, "tokens": tokens, **totals}
    totals.setdefault("group_tokens", torch.full((len(value),), tokens))
    return Valuation(
        value=value, old=old, reference=reference, advantage=advantage, counted=counted, **totals
    )


def expected_gradient(logits: torch.Tensor, advantage: Advantage, size: int, surrogate) -> torch.Tensor:
    """The mean over all groups of `size` answers of one token, each as likely as the policy makes it."""
    logits = logits.clone().requires_grad_()
    total = torch.zeros_like(logits)
    for group in product(range(2), repeat=size):
        answers = torch.tensor(group)
        value = logits.log_softmax(0)[answers]
        given_rewards, _ = advantage.of(REWARD[answers][None])
        loss, _ = surrogate.loss(valuation(value[:, None], advantage=given_rewards[0]))
        [gradient] = torch.autograd.grad(loss, logits)
        total += value.detach().sum().exp() * gradient
    return total


def gradient_of_mean_reward(logits: torch.Tensor) -> torch.Tensor:
    logits = logits.clone().requires_grad_()
    [gradient] = torch.autograd.grad((logits.softmax(0) * REWARD).sum(), logits)
    return gradient


some_logits = [torch.tensor(x, dtype=torch.float64) for x in ([0.0, 0.0], [1.3, -0.4], [-2.0, 1.0])]


@pytest.mark.parametrize("logits", some_logits)
@pytest.mark.parametrize("size", [2, 3, 6])
@pytest.mark.parametrize(
    "surrogate", [clipped(), clipped(ratio="sequence"), PlainGradient(normalisation="tokens")]
)
def test_the_expected_gradient_over_all_groups_is_that_of_the_mean_reward(logits, size, surrogate):
    wanted = -gradient_of_mean_reward(logits)
    of_all = Advantage(baseline="mean", divide_by_std=False, std_eps=1e-4)
    of_others = Advantage(baseline="leave_one_out", divide_by_std=False, std_eps=1e-4)
    assert torch.allclose(
        expected_gradient(logits, of_all, size, surrogate), (1 - 1 / size) * wanted, atol=1e-12
    )
    assert torch.allclose(expected_gradient(logits, of_others, size, surrogate), wanted, atol=1e-12)


def test_dividing_by_the_standard_deviation_changes_how_much_each_prompt_weighs():
    divided = Advantage(baseline="mean", divide_by_std=True, std_eps=1e-4)
    factors = [
        (expected_gradient(logits, divided, 4, clipped()) / -gradient_of_mean_reward(logits))[0]
        for logits in some_logits
    ]
    assert len({round(float(factor), 3) for factor in factors}) == len(factors)


def random_valuation(seed: int, *, per_token: bool = True, advantage=None) -> Valuation:
    """Completions of different counted length, values that a few updates have moved."""
    random = torch.Generator().manual_seed(seed)
    counted = torch.arange(5) < torch.randint(1, 6, (4, 1), generator=random)
    shape = (4, 5) if per_token else (4,)
    draws = [torch.randn(shape, generator=random, dtype=torch.float64) - 2 for _ in range(3)]
    advantage = torch.randn(4, generator=random, dtype=torch.float64) if advantage is None else advantage
    pairs = counted.view(2, -1).sum(1).repeat_interleave(2)  # two groups of two
    return valuation(
        draws[0].requires_grad_(),
        *draws[1:],
        advantage=advantage,
        counted=counted,
        groups=2,
        group_tokens=pairs,
    )


def by_loops(surrogate: ClippedRatio, given_: Valuation) -> float:
    """The formula, one number after another."""
    total = 0.0
    for n in range(len(given_.advantage)):
        places = [i for i in range(given_.counted.shape[1]) if given_.counted[n, i]]
        parts = [[i] for i in places] if surrogate.ratio == "token" else [places]
        length = {"nothing": 1, "counted": len(places), "canvas": given_.counted.shape[1]}[
            surrogate.divided_by
        ]
        weight = {
            "tokens": 1 / given_.tokens,
            "groups": 0.5 / sum(given_.counted[each].sum().item() for each in (n, n ^ 1)),
            "completions": 1 / given_.completions / len(places),
            "length": 1 / given_.completions / given_.counted.shape[1],
        }[surrogate.normalisation]
        for part in parts:
            new, old, reference = (
                sum(values[n, i].item() for i in part)
                for values in (given_.value, given_.old, given_.reference)
            )
            rho, a = math.exp((new - old) / length), float(given_.advantage[n])
            capped = min(max(rho, 1 - surrogate.clip_low), 1 + surrogate.clip_high)
            d = reference - new
            kl = (math.exp(d) - d - 1 if surrogate.kl == "k3" else d * d / 2) / length
            total += weight * len(part) * (-min(rho * a, capped * a) + surrogate.beta * kl)
    return total


ratios = st.sampled_from(
    [("token", "nothing"), *(("sequence", by) for by in ("nothing", "counted", "canvas"))]
)


@given(
    st.integers(0, 99),
    ratios,
    st.sampled_from(NORMALISATIONS),
    st.sampled_from(["k2", "k3"]),
    st.sampled_from([0, 0.3]),
)
def test_the_loss_is_the_written_formula(seed, ratio, normalisation, kl, beta):
    surrogate = clipped(
        ratio=ratio[0],
        divided_by=ratio[1],
        normalisation=normalisation,
        kl=kl,
        beta=beta,
        clip_low=0.2,
        clip_high=0.3,
    )
    given_ = random_valuation(seed)
    assert surrogate.loss(given_)[0].item() == pytest.approx(by_loops(surrogate, given_), rel=1e-12)


@given(st.integers(0, 99), st.sampled_from(NORMALISATIONS), st.sampled_from(["k2", "k3"]))
def test_with_one_token_a_sequence_has_the_ratio_of_its_token(seed, normalisation, kl):
    random = torch.Generator().manual_seed(seed)
    value, old, reference = torch.randn(3, 6, 1, generator=random, dtype=torch.float64)
    advantage = torch.randn(6, generator=random, dtype=torch.float64)
    same = {"normalisation": normalisation, "kl": kl, "beta": 0.1}
    [of_tokens, figures], *of_sequences = [
        clipped(**changed, **same).loss(valuation(value, old, reference, advantage=advantage))
        for changed in [
            {},
            *({"ratio": "sequence", "divided_by": by} for by in ("nothing", "counted", "canvas")),
        ]
    ]
    for loss, others in of_sequences:
        assert torch.equal(loss, of_tokens)
        assert others == figures


def gradient_of(surrogate, given_: Valuation) -> torch.Tensor:
    [gradient] = torch.autograd.grad(surrogate.loss(given_)[0], given_.value)
    return gradient


@pytest.mark.parametrize("ratio", ["token", "sequence"])
def test_equal_rewards_move_nothing_without_a_reference_or_at_it(ratio):
    given_ = random_valuation(3, advantage=torch.zeros(4, dtype=torch.float64))
    assert gradient_of(clipped(ratio=ratio), given_).eq(0).all()
    at_reference = valuation(
        given_.value, given_.old, given_.value.detach(), advantage=given_.advantage, counted=given_.counted
    )
    for kl in ("k2", "k3"):
        assert gradient_of(clipped(ratio=ratio, beta=5.0, kl=kl), at_reference).eq(0).all()
    assert gradient_of(clipped(ratio=ratio, beta=5.0), given_).ne(0).any()


@pytest.mark.parametrize(
    ("advantage", "rho", "moves"),
    [(1, 1.6, False), (1, 1.4, True), (1, 0.3, True), (-1, 0.4, False), (-1, 0.6, True), (-1, 1.7, True)],
)
def test_a_ratio_beyond_the_clip_on_the_good_side_has_no_gradient(advantage, rho, moves):
    value = torch.tensor([[math.log(rho)]], dtype=torch.float64, requires_grad=True)
    given_ = valuation(
        value,
        torch.zeros(1, 1, dtype=torch.float64),
        advantage=torch.tensor([advantage], dtype=torch.float64),
    )
    assert bool(gradient_of(clipped(), given_).ne(0)) == moves
    _, figures = clipped().loss(given_)
    assert float(figures["policy/clipped_high"]) == (advantage == 1 and not moves)
    assert float(figures["policy/clipped_low"]) == (advantage == -1 and not moves)
    assert float(figures["policy/ratio"]) == pytest.approx(rho)


@pytest.mark.parametrize("logits", some_logits[1:])
def test_what_the_kl_estimators_are_in_expectation(logits):
    reference = torch.tensor([0.3, -0.2], dtype=torch.float64).log_softmax(0)
    logits = logits.clone().requires_grad_()
    log_p = logits.log_softmax(0)

    def kl(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
        return (p.exp() * (p - q)).sum()

    means, gradients = {}, {}
    for name in ("k2", "k3"):
        losses = [
            clipped(beta=1.0, kl=name).loss(
                valuation(
                    log_p[y].reshape(1, 1), reference=reference[y].reshape(1, 1), advantage=torch.zeros(1)
                )
            )
            for y in range(2)
        ]
        means[name] = sum(log_p[y].exp() * losses[y][1]["policy/kl"] for y in range(2))
        expected = sum(log_p[y].exp().detach() * losses[y][0] for y in range(2))
        [gradients[name]] = torch.autograd.grad(expected, logits, retain_graph=True)
    assert torch.allclose(means["k3"], kl(log_p, reference), atol=1e-14)
    [towards_reference] = torch.autograd.grad(kl(reference, log_p), logits, retain_graph=True)
    [from_policy] = torch.autograd.grad(kl(log_p, reference), logits)
    assert torch.allclose(gradients["k3"], towards_reference, atol=1e-14)
    assert torch.allclose(gradients["k2"], from_policy, atol=1e-14)
    assert not torch.allclose(towards_reference, from_policy, atol=1e-2)


def test_k3_keeps_its_digits_where_the_policy_has_hardly_moved():
    value = torch.full((1, 1), -1.0)
    reference = value + 2**-20
    _, figures = clipped(beta=1.0).loss(valuation(value, value, reference, advantage=torch.zeros(1)))
    assert float(figures["policy/kl"]) == pytest.approx(2**-41, rel=1e-4)


def test_before_the_first_update_every_ratio_is_one():
    given_ = random_valuation(0)
    at_start = valuation(given_.value, advantage=given_.advantage, counted=given_.counted)
    for ratio in ("token", "sequence"):
        _, figures = clipped(ratio=ratio).loss(at_start)
        assert figures["policy/ratio"] == 1
        assert figures["policy/clipped_low"] == figures["policy/clipped_high"] == 0


arms = [
    clipped(beta=0.2),
    clipped(ratio="sequence", divided_by="counted", beta=0.2),
    PlainGradient(normalisation="tokens"),
    SoftmaxWeights(),
]


@pytest.mark.parametrize("surrogate", arms)
def test_tokens_that_are_not_counted_change_nothing(surrogate):
    given_ = random_valuation(5)
    loss, gradient = surrogate.loss(given_)[0], gradient_of(surrogate, given_)
    value = given_.value.detach().where(given_.counted, -torch.inf).requires_grad_()
    changed = valuation(
        value, given_.old, given_.reference, advantage=given_.advantage, counted=given_.counted
    )
    assert torch.equal(surrogate.loss(changed)[0], loss)
    assert torch.equal(gradient_of(surrogate, changed), gradient)
    assert gradient[~given_.counted].eq(0).all()


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("arm", [clipped, PlainGradient])
def test_completions_without_advantage_can_be_left_out_and_still_count(arm, normalisation):
    surrogate = arm(normalisation=normalisation)
    assert not surrogate.learns_without_advantage
    given_ = random_valuation(6, advantage=torch.tensor([0.0, 0.7, 0.0, -0.7], dtype=torch.float64))
    kept = torch.tensor([1, 3])
    fewer = Valuation(
        value=given_.value.detach()[kept].requires_grad_(),
        old=given_.old[kept],
        reference=None,
        advantage=given_.advantage[kept],
        counted=given_.counted[kept],
        group_tokens=given_.group_tokens[kept],
        completions=given_.completions,
        groups=given_.groups,
        tokens=given_.tokens,
    )
    assert torch.allclose(surrogate.loss(fewer)[0], surrogate.loss(given_)[0], atol=1e-15)
    assert torch.allclose(gradient_of(surrogate, fewer), gradient_of(surrogate, given_)[kept], atol=1e-15)


@given(st.integers(0, 99))
def test_spg_weighs_the_value_of_a_completion_by_its_length(seed):
    given_ = random_valuation(seed, per_token=False)
    lengths = given_.counted.sum(1)
    wanted = -sum(
        (a * v * n).item() for a, v, n in zip(given_.advantage, given_.value, lengths, strict=True)
    ) / int(lengths.sum())
    assert PlainGradient(normalisation="tokens").loss(given_)[0].item() == pytest.approx(wanted, rel=1e-12)


@given(st.integers(0, 99))
def test_wd1_weighs_likelihoods_by_two_softmaxes_over_the_batch(seed):
    given_ = random_valuation(seed)
    up = [math.exp(a) for a in given_.advantage.tolist()]
    down = [math.exp(-a) for a in given_.advantage.tolist()]
    values = (given_.value * given_.counted).sum(1).tolist()
    wanted = sum((d / sum(down) - u / sum(up)) * v for u, d, v in zip(up, down, values, strict=True))
    assert SoftmaxWeights().loss(given_)[0].item() == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@given(st.integers(0, 99), st.integers(-4, 4))
def test_wd1_learns_nothing_where_all_advantages_are_equal(seed, advantage):
    given_ = random_valuation(seed, advantage=torch.full((4,), advantage / 3, dtype=torch.float64))
    assert SoftmaxWeights().loss(given_)[0] == 0
    assert gradient_of(SoftmaxWeights(), given_).eq(0).all()


def test_what_each_loss_needs_can_be_asked_before_anything_is_loaded():
    assert clipped().needs_tokens
    assert not clipped(ratio="sequence").needs_tokens
    assert clipped(beta=0.1).reads_reference
    assert clipped(beta=0.1).learns_without_advantage
    assert not clipped().reads_reference
    assert SoftmaxWeights().learns_without_advantage
    assert not SoftmaxWeights().reads_old
    with pytest.raises(ValueError, match="divided_by=counted: must be nothing with ratio=token"):
        clipped(divided_by="counted")
