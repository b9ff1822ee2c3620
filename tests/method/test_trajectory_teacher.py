"""A step with the trajectory teacher (arXiv 2607.04428) against a loop over rollouts, their states and positions."""

import pytest
import torch
from fakes import CHAT, EOS, EOT, MASK, TinyNetwork
from small_run import DRAWS, NETWORK_SEED, Study, assert_close, dopsd, gradients_of

from dopsd.diffusion.trajectory import NEVER
from dopsd.distillation.clip import NoClip
from dopsd.distillation.divergence import ForwardKL, Objective
from dopsd.distillation.later_state import LaterStateTeacher, StateChoice
from dopsd.distillation.supervision import AllMasked
from dopsd.method.learning import Learning

Gap = int | str


def trajectory_teacher(*, gap: Gap, honest: bool, pick: str = "least", masked_share: float = 0.5, **options):
    """The method as published, from accepted rollouts."""
    defaults = {
        "teacher": LaterStateTeacher(gap=gap),  # type: ignore[arg-type]
        "supervision": AllMasked(honest=honest),
        "objective": Objective(divergence=ForwardKL(), clip=NoClip(), overlap_top_k=4),
        "learning": Learning(states=StateChoice(pick=pick, masked_share=masked_share)),  # type: ignore[arg-type]
    }
    return dopsd(**(defaults | options))


def naive_loss(method, teacher: TinyNetwork, *, gap: Gap, honest: bool, pick: str, masked_share: float):
    """The mean over accepted rollouts of the mean of KL(teacher || student) at the masked positions of one state."""
    of_rollouts = []
    for draw in DRAWS:
        prompts = CHAT.prompts([draw.example])
        rollout = method.rollout.collect(method.network, [draw], prompts, chat=CHAT, task=method.task, seed=0)
        if not rollout.verdicts[0].accepted:
            continue
        tokens, times = rollout.trajectory.tokens[0].tolist(), rollout.trajectory.step_map[0].tolist()
        ends = [i for i, token in enumerate(tokens) if token in (EOS, EOT)]
        answer = [i for i in range(ends[0] + 1 if ends else len(tokens)) if times[i] != NEVER]
        masked = {
            step: [i for i in answer if times[i] >= step] for step in range(int(rollout.trajectory.steps[0]))
        }
        allowed = [step for step in masked if len(masked[step]) / len(answer) > masked_share]
        sign = 1 if pick == "least" else -1
        step = min(allowed, key=lambda t: sign * len(masked[t]))
        seen_until = NEVER if gap == "final" else step + int(gap)
        prompt = prompts.tokens[0].tolist()

        def log_p(network, until, prompt=prompt, tokens=tokens, times=times):
            canvas = [token if time < until else MASK for token, time in zip(tokens, times, strict=True)]
            return network(torch.tensor([prompt + canvas])).logits()[0, len(prompt) :].log_softmax(-1)

        with torch.no_grad():
            target = log_p(teacher, seen_until)
        student = log_p(method.network, step)
        scored = [i for i in masked[step] if not honest or times[i] >= seen_until]
        if scored:
            kl = [(target[i].exp() * (target[i] - student[i])).sum() for i in scored]
            of_rollouts.append(torch.stack(kl).mean())
    return torch.stack(of_rollouts).mean(), len(of_rollouts)


CASES = [
    ("final", False, "least", 0.5),
    ("final", False, "most", 0.0),
    ("final", False, "least", 0.0),
    (1, True, "least", 0.5),
    (2, True, "most", 0.5),
    (2, False, "least", 0.5),
]


@pytest.mark.parametrize(("gap", "honest", "pick", "masked_share"), CASES)
def test_loss_and_gradient_are_those_of_the_loop(gap, honest, pick, masked_share):
    options = {"gap": gap, "honest": honest, "pick": pick, "masked_share": masked_share}
    method = trajectory_teacher(**options)
    study = Study(method)
    expected, states = naive_loss(method, TinyNetwork(NETWORK_SEED), **options)
    method.network.zero_grad()
    expected.backward()
    assert study.logged("train/states") == [states]
    assert study.logged("train/loss") == [pytest.approx(float(expected.detach()), rel=1e-4)]
    assert_close(study.gradients[0], gradients_of(method.network), rtol=1e-3)


def test_the_arms_differ():
    losses = {
        float(Study(trajectory_teacher(gap=g, honest=h, pick=p, masked_share=m)).losses[0])
        for g, h, p, m in CASES
    }
    assert len(losses) == len(CASES)


def test_a_gap_beyond_the_last_step_is_the_finished_answer():
    final, beyond = (Study(trajectory_teacher(gap=gap, honest=False)) for gap in ("final", 99))
    assert_close(beyond.gradients[0], final.gradients[0])


def test_an_honest_teacher_of_the_finished_answer_leaves_nothing_and_makes_no_update():
    study = Study(trajectory_teacher(gap="final", honest=True))
    assert study.losses == []
    assert study.logged("rollout/accepted") == [pytest.approx(4 / 6)]


def test_micro_batches_give_the_same_step():
    whole = Study(trajectory_teacher(gap="final", honest=False, pick="random"))
    parts = Study(trajectory_teacher(gap="final", honest=False, pick="random", micro_batch_tokens=1))
    assert parts.micro_batches > whole.micro_batches == [1]
    assert_close(parts.gradients[0], whole.gradients[0])


def test_a_chosen_state_counts_as_its_whole_trajectory_whatever_the_others_are_averaged_over():
    choice = StateChoice(pick="least", masked_share=0.5)
    visited, steps = (
        Study(
            trajectory_teacher(gap="final", honest=False, learning=Learning(states=choice, over_states=over))  # type: ignore[arg-type]
        )
        for over in ("visited", "steps")
    )
    assert_close(steps.gradients[0], visited.gradients[0])


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"updates_per_rollout": 2}, "updates_per_rollout=2: must be 1 with states=one"),
        ({"states_per_trajectory": 3}, "states_per_trajectory=3: must be null with states=one"),
    ],
)
def test_one_state_is_not_cut_any_further(options, line):
    with pytest.raises(ValueError, match=line):
        Learning(states=StateChoice(pick="least", masked_share=0.5), **options)
