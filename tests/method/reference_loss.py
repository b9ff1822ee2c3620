"""Eq. 11 and 12 as three loops: over trajectories, their steps, and the supervised positions of each."""

import torch
from fakes import CHAT, EOS, MASK
from torch import Tensor

from dopsd.diffusion.trajectory import States


def naive_loss(method, draws, teacher_network, *, part: tuple[int, int] = (0, 1)) -> Tensor:
    """The loss of one update by full-canvas forwards of single unpadded rows, in float64.

    `part` = (i, n) takes the i-th of n parts of each trajectory in time; without any state the loss is a bare 0.
    """
    learning, of_trajectories = method.learning, []
    for draw in draws:
        rollout = method.rollout.collect(
            method.network,
            [draw],
            CHAT.prompts([draw.example]),
            chat=CHAT,
            task=method.task,
            seed=method.seed,
        )
        if learning.learn_from == "accepted" and not rollout.verdicts[0].accepted:
            continue
        states = rollout.trajectory.visited_states(MASK)
        steps = int(rollout.trajectory.steps[0])
        of_states = []
        for t in range(steps):
            state = states[torch.tensor([t])]
            is_last_block = active_block(state).stop == state.canvas.shape[1]
            in_part = part[0] * steps <= t * part[1] < (part[0] + 1) * steps
            if in_part and (learning.train_last_block or not is_last_block):
                positions = state_losses(method, draw, state, rollout, teacher_network)
                if positions:
                    total = torch.stack(positions).sum()
                    of_states.append(total / len(positions) if learning.over_positions == "mean" else total)
        if of_states:
            total = torch.stack(of_states).sum()
            steps = method.rollout.sampler.denoising_steps / part[1]
            of_trajectories.append(total / (len(of_states) if learning.over_states == "visited" else steps))
    divided_by = len(of_trajectories) if learning.average_over == "learned" else len(draws)
    return sum(of_trajectories, torch.zeros(())) / max(divided_by, 1)


def active_block(state: States) -> range:
    """The four columns among which the step unmasked something."""
    start = int(state.unmasked_now[0].nonzero()[0]) // 4 * 4
    return range(start, start + 4)


def state_losses(method, draw, state: States, rollout, teacher_network) -> list[Tensor]:
    """KL(student || teacher) at each position of K_t."""
    prompt = CHAT.prompts([draw.example]).tokens[0].tolist()
    prompts = CHAT.prompts_of([method.teacher.message(draw.example)])
    shown = prompts.tokens[0].tolist()
    view = method.teacher.view(state, prompts, rollout.keys, eos_id=EOS)
    canvas, seen = state.canvas[0].tolist(), view.canvas[0].tolist()
    with torch.no_grad():
        logits = teacher_network(torch.tensor([shown + seen])).logits()[0, len(shown) :]
    teacher = logits.log_softmax(-1)
    writable = logits.index_fill(-1, torch.tensor([MASK]), -torch.inf).softmax(-1)
    student = method.network(torch.tensor([prompt + canvas])).logits()[0, len(prompt) :].log_softmax(-1)
    active = active_block(state)
    unmasked = [place for place in active if bool(state.unmasked_now[0, place])]
    if type(method.supervision).__name__ == "StudentRanked":
        chosen = [place for place in unmasked if seen[place] == MASK]
    else:
        hidden = [place for place in active if seen[place] == MASK]
        chosen = sorted(hidden, key=lambda place: -float(writable[place].max()))[: len(unmasked)]
    return [(student[i].exp() * (student[i] - teacher[i])).sum() for i in chosen]
