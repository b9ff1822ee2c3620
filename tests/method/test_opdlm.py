"""One OPDLM step against a loop over answers, blocks, positions and the vocabulary, in float64."""

import copy
from functools import partial
from itertools import permutations, product

import pytest
import torch
from attending import block_network
from fakes import CHAT, EOS, EOT, MASK, PROMPT, SPECIAL, VOCABULARY, TinyNetwork
from small_run import DRAWS, NONE, Study, assert_close, gradients_of, shared, train
from torch import Tensor, nn

from dopsd.chat import Chat
from dopsd.diffusion.hidden import Hidden
from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.responses import Responses
from dopsd.diffusion.sampler import BlockSampler
from dopsd.diffusion.special_tokens import SpecialTokens
from dopsd.diffusion.trajectory import NEVER, Trajectory
from dopsd.distillation.block_states import random_masks, visited_masks
from dopsd.distillation.clip import NoClip
from dopsd.distillation.curriculum import LengthLimit
from dopsd.distillation.divergence import ForwardKL, Objective, ReverseKL
from dopsd.method.opdlm import OPDLM
from dopsd.method.teacher_weights import FixedWeights
from dopsd.model import load_model, load_tokenizer
from dopsd.model.visible import BlockCausal, Causal
from dopsd.rollout import Rollout

LENGTH = 12
OBJECTIVE = partial(Objective, divergence=ForwardKL(), clip=NoClip(), renormalise=False, overlap_top_k=4)
NOBODY = torch.zeros(2, dtype=torch.bool)  # of two answers is taught
ARMS = {
    "default": {},
    "autoregressive": {"block_length": 1},
    "two tokens a step": {"denoising_steps": 6},
    "shifted": {"reading": "next"},
    "random masks": {"masks": "random"},
    "end token": {"end_token": "included"},
    "top entries": {"objective": OBJECTIVE(vocab_top_k=3)},
    "reverse": {"objective": OBJECTIVE(divergence=ReverseKL())},
    "as sampled": {"early_exit": False},
}


def opdlm(
    *,
    block_length: int = 4,
    denoising_steps: int = LENGTH,
    early_exit: bool = True,
    reading: str = "own",
    network: nn.Module | None = None,
    **options,
) -> OPDLM:
    """A method whose student is no longer the network that it started from."""
    network = network or block_network(block_length, reading)
    sampler = BlockSampler(
        gen_length=LENGTH,
        block_length=block_length,
        denoising_steps=denoising_steps,
        temperature=1.0,
        early_exit=early_exit,
    )
    defaults = {
        "rollout": Rollout(sampler=sampler, max_attempts=1),
        "masks": "trajectory",
        "end_token": "excluded",
        "objective": OBJECTIVE(),
        "length": LengthLimit(first=0.1, growing_steps=0),
        "updates_per_rollout": 1,
        "sft_share": 0.0,
        "teacher_weights": FixedWeights(),
    }
    method = OPDLM(**shared(network=network, task=NONE, **(defaults | options)))
    random = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=random, dtype=parameter.dtype))
    return method


def masks_of(method: OPDLM, trajectory: Trajectory, keys: Tensor) -> list[bool]:
    """z, whose distribution has tests of its own."""
    length = trajectory.block_length
    if method.masks == "trajectory":
        return visited_masks(keys, trajectory.step_map, block_length=length)[0].tolist()
    written = trajectory.step_map != NEVER
    return (random_masks(keys, written, block_length=length) | ~written)[0].tolist()


def position_loss(objective: Objective, student: Tensor, teacher: Tensor) -> Tensor:
    """The divergence of two rows of logits without [MASK]."""
    words = [v for v in range(VOCABULARY) if v != MASK]
    student, teacher = student[words].softmax(-1), teacher[words].softmax(-1)
    p, q = (teacher, student) if isinstance(objective.divergence, ForwardKL) else (student, teacher)
    kept = teacher.topk(objective.vocab_top_k or len(words)).indices
    return (p * (p / q).log())[kept].sum()


def row_loss(
    method: OPDLM, start: nn.Module, prompt: list[int], trajectory: Trajectory, keys: Tensor
) -> Tensor:
    """L of one answer: each position in a row of its own, which ends with its block, or before it."""
    tokens, times = trajectory.tokens[0].tolist(), trajectory.step_map[0].tolist()
    masked, block_length = masks_of(method, trajectory, keys), trajectory.block_length
    end = next((i for i, t in enumerate(tokens) if t in (EOS, EOT)), len(tokens))
    end += method.end_token == "included"
    scored = [i for i in range(min(end, len(tokens))) if masked[i] and times[i] != NEVER]
    total = torch.zeros((), dtype=torch.float64)
    for i in scored:
        first = i - i % block_length
        block = [MASK if masked[j] else tokens[j] for j in range(first, first + block_length)]
        seen = torch.tensor([prompt + tokens[:first] + block])
        student = method.network(seen).logits()[0, len(prompt) + i]
        before = torch.tensor([prompt + tokens[:i]])
        teacher = start(before, visible=Causal(), reading="own").logits()[0, -1].detach()
        total = total + position_loss(method.objective, student, teacher) / len(scored)
    return total


def naive_losses(method: OPDLM, start: nn.Module, draws=DRAWS) -> list[Tensor]:
    """L of every answer, sampled from the student one after the other."""
    losses = []
    for draw in draws:
        prompts = CHAT.prompts([draw.example])
        found = method.rollout.collect(method.network, [draw], prompts, chat=CHAT, task=NONE, seed=0)
        losses.append(row_loss(method, start, prompts.tokens[0].tolist(), found.trajectory, found.keys))
    return losses


@pytest.mark.parametrize("arm", ARMS)
def test_loss_and_gradient_are_those_of_the_loop(arm):
    network = block_network(ARMS[arm].get("block_length", 4), ARMS[arm].get("reading", "own"))
    start = copy.deepcopy(network)
    method = opdlm(network=network, **ARMS[arm])
    study = Study(method)
    losses = naive_losses(method, start)
    expected = torch.stack(losses)
    method.network.zero_grad()
    expected.mean().backward()
    assert study.losses[0].item() == pytest.approx(expected.mean().item(), rel=1e-4)
    assert_close(study.gradients[0], gradients_of(method.network), rtol=1e-3)
    assert study.logged("train/examples")[0] == expected.count_nonzero()


def test_how_likely_the_teacher_finds_the_answers_is_logged():
    network = block_network(4)
    start, method = copy.deepcopy(network), opdlm(network=network, micro_batch_tokens=80)
    nats = []
    for draw in DRAWS:
        prompts = CHAT.prompts([draw.example])
        found = method.rollout.collect(method.network, [draw], prompts, chat=CHAT, task=NONE, seed=0)
        prompt, tokens = prompts.tokens[0].tolist(), found.trajectory.tokens[0].tolist()
        for i, token in enumerate(tokens):
            before = torch.tensor([prompt + tokens[:i]])
            logits = start(before, visible=Causal(), reading="own").logits()[0, -1].detach()
            nats.append(-logits.log_softmax(-1)[token])
            if token in (EOS, EOT):
                break
    assert Study(method).logged("opdlm/teacher_nats") == [
        pytest.approx(float(sum(nats) / len(nats)), rel=1e-5)
    ]


def test_answers_are_dealt_to_the_updates_in_order():
    network = block_network(4)
    start = copy.deepcopy(network)
    method = opdlm(network=network, updates_per_rollout=3)
    losses = torch.stack(naive_losses(method, start)).detach()
    study = Study(method)  # whose optimizer changes nothing
    expected = losses.view(3, 2).mean(1)
    torch.testing.assert_close(torch.stack(study.losses).double(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("budget", [1, 80])
def test_micro_batches_change_nothing(budget):
    whole, parts = Study(opdlm()), Study(opdlm(micro_batch_tokens=budget))
    assert parts.micro_batches[0] > 1
    assert_close(whole.gradients[0], parts.gradients[0])


def test_padding_changes_nothing(monkeypatch):
    def padded(chat, examples):
        prompts = CHAT.prompts_of(example.prompt for example in examples)
        columns = prompts.tokens.new_zeros(len(prompts), 5)
        return Prompts(
            tokens=torch.cat([columns, prompts.tokens], 1),
            attention_mask=torch.cat([columns.bool(), prompts.attention_mask], 1),
        )

    expected = Study(opdlm())
    monkeypatch.setattr(type(CHAT), "prompts", padded)
    assert_close(Study(opdlm()).gradients[0], expected.gradients[0])


def responses(tokens: Tensor, step_map: Tensor, block_length: int = 4) -> Responses:
    """Answers to the same prompt."""
    steps = torch.where(step_map == NEVER, -1, step_map).amax(1) + 1
    trajectory = Trajectory(tokens=tokens, step_map=step_map, steps=steps, block_length=block_length)
    prompts = Prompts.pad([[5, 6, PROMPT]] * len(tokens), EOS)
    return Responses.of(trajectory, prompts, example_keys(0, [7] * len(tokens)), SPECIAL.end_ids)


def test_what_stands_behind_the_end_and_is_not_shown_changes_nothing():
    """Two answers that end at 5 in different words, go on differently, and are masked there in both."""
    tokens = torch.tensor([[5, 6, 7, 8, 9, EOT, 4, 5, 6, 7, 8, 9], [5, 6, 7, 8, 9, EOS, 8, 8, 9, 5, 4, EOT]])
    step_map = torch.tensor([[3, 2, 1, 0, 4, 4, 5, 5, 6, 7, 8, 9]]).expand(2, -1)
    method = opdlm()
    views = method._views(responses(tokens, step_map), NOBODY)
    assert views.columns[views.is_real].max() < LENGTH + 5
    gradients = []
    for row in range(2):
        method.network.zero_grad()
        method._losses(views[row : row + 1], NOBODY[row : row + 1])[0].backward()
        gradients.append(gradients_of(method.network))
    assert_close(*gradients, rtol=1e-9)


def test_an_answer_with_nothing_scored_stays_in_the_mean():
    method = opdlm(end_token="excluded")
    ended = torch.full((1, LENGTH), EOT)
    answer = torch.arange(4, 4 + LENGTH)[None]
    times = torch.arange(LENGTH)[None]
    alone = method._views(responses(answer, times), NOBODY[:1])
    both = method._views(responses(torch.cat([ended, answer]), times.expand(2, -1)), NOBODY)
    assert len(alone) == len(both) == 1
    torch.testing.assert_close(both.weight, alone.weight / 2)


def test_no_answer_to_learn_from_takes_no_step():
    class Ending(TinyNetwork):
        visible = BlockCausal(4)

        def forward(self, canvas, attention_mask=None, at=None, **given):
            hidden = super().forward(canvas, attention_mask, at)
            return Hidden(states=hidden.states * 0, head=_Always(hidden.head))

    class _Always:
        out_features = VOCABULARY

        def __init__(self, head):
            self.head = head

        def __call__(self, states):
            return self.head(states) + 60 * nn.functional.one_hot(torch.tensor(EOT), VOCABULARY)

    study = Study(opdlm(network=Ending(0)))
    assert study.losses == []
    assert study.logged("opdlm/gen_length") == [LENGTH]


def test_answers_grow_with_training():
    method = opdlm(length=LengthLimit(first=0.1, growing_steps=2))
    step, seen = method.training_step, []
    for number in range(3):
        method.training_step = lambda batch, _, n=number: step(batch, n)
        seen += Study(method).logged("opdlm/gen_length")
    assert seen == [4, 4, 12]


class Tables(nn.Module):
    """A student that is a table of logits for each state of one block of two, and a teacher for each token before."""

    visible = BlockCausal(2)
    letters = range(4, 7)

    def __init__(self):
        super().__init__()
        random = torch.Generator().manual_seed(3)
        words = torch.randn(8, VOCABULARY, generator=random, dtype=torch.float64)
        self.next = nn.Parameter(self._only_letters(words), requires_grad=False)
        self.table = nn.Parameter(self._only_letters(torch.zeros(8, 8, 2, VOCABULARY, dtype=torch.float64)))

    def _only_letters(self, logits: Tensor) -> Tensor:
        others = [v for v in range(VOCABULARY) if v not in self.letters]
        return logits.index_fill(-1, torch.tensor(others), -torch.inf)

    def forward(self, sequence, attention_mask=None, at=None, *, visible=None, reading="own"):
        place = (at - sequence.shape[1]) % 2
        if reading == "next":
            assert visible == Causal()
            logits = self.next[sequence.gather(1, at - 1)]
        else:
            first, second = sequence[:, -2, None], sequence[:, -1, None]
            logits = self.table[first, second, place]
        return Hidden(states=logits, head=_Identity())


class _Identity:
    out_features = VOCABULARY

    def __call__(self, states: Tensor) -> Tensor:
        return states.clone()


def expected_gradient(network: Tables) -> Tensor:
    """Of the mean loss over every answer of two letters that is written in a random order, and both its states."""
    method = OPDLM(
        **shared(network=network),
        rollout=Rollout(sampler=BlockSampler(gen_length=2, block_length=2, denoising_steps=2)),
        masks="trajectory",
        end_token="excluded",
        objective=OBJECTIVE(),
        length=LengthLimit(first=1, growing_steps=0),
        updates_per_rollout=1,
        sft_share=0.0,
        teacher_weights=FixedWeights(),
    )
    p = network.table.detach().softmax(-1)
    rows, chances = [], []
    for (a, b), order in product(product(network.letters, repeat=2), permutations(range(2))):
        written = (a, b)
        first, second = order
        shown = [MASK, MASK]
        chance = 0.5 * p[MASK, MASK, first, written[first]]
        shown[first] = written[first]
        chance = chance * p[shown[0], shown[1], second, written[second]]
        rows.append((written, [order.index(0), order.index(1)]))
        chances.append(chance / 2)
    tokens, times = (torch.tensor(each).repeat(2, 1) for each in zip(*rows, strict=True))
    answers = responses(tokens, times, block_length=2)
    both = torch.tensor([0] * len(rows) + [1] * len(rows))[:, None]
    method._masked = lambda answers: answers.trajectory.step_map >= both
    by_student = torch.zeros(len(answers), dtype=torch.bool)
    views = method._views(answers, by_student)
    views.weight.mul_((torch.stack(chances).repeat(2) * len(answers))[:, None])
    network.zero_grad()
    method._losses(views, by_student)[0].backward()
    return network.table.grad


def test_the_optimum_is_the_mixture_over_what_the_student_itself_writes():
    network = Tables()
    ar, table = network.next.softmax(-1), network.table.data
    table[:, :, 0] = network.next[PROMPT]
    table[:, :, 1] = network.next[:, None]  # behind a token that is shown
    table[MASK, :, 1] = (
        ar[PROMPT] @ ar.new_zeros(VOCABULARY, VOCABULARY).index_copy(0, torch.arange(8), ar)
    ).log()
    assert float(expected_gradient(network).abs().max()) < 1e-7
    table[MASK, MASK, 1] = network.next[int(ar[PROMPT].argmax())]
    assert float(expected_gradient(network).abs().max()) > 1e-2


def test_the_gradient_does_not_depend_on_activation_checkpointing(model):
    gradients, path = [], model.partition("=")[2]
    for checkpointing in (False, True):
        network = load_model(
            path,
            init="random",
            visible="block_causal",
            block_length=4,
            activation_checkpointing=checkpointing,
        ).train()
        special = SpecialTokens(mask_id=network.mask_id, eos_id=network.eos_id, end_ids=network.end_ids)
        study = Study(opdlm(network=network, chat=Chat(tokenizer=load_tokenizer(path), special=special)))
        assert network.is_gradient_checkpointing == checkpointing
        gradients.append(study.gradients[0])
    assert_close(*gradients, rtol=1e-5)


def test_lightning_trains_it():
    method = opdlm(updates_per_rollout=2)
    before = copy.deepcopy(dict(method.network.named_parameters()))
    trainer = train(method, steps=2)
    assert trainer.callback_metrics["train/loss"].isfinite()
    assert any(not torch.equal(p, before[name]) for name, p in method.network.named_parameters())
    spent = method.budget.spent
    assert spent["optimizer_steps"] == 4
    assert spent["training_backwards"] == spent["no_gradient_forwards"] == spent["training_forwards"]
