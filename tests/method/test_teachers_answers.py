"""What an autoregressive teacher writes, against its own greedy choices one after the other, and how it is learnt."""

import pytest
import torch
from fakes import example
from small_run import DRAWS, NONE, Study, assert_close, gradients_of, shared
from test_opdlm import OBJECTIVE
from torch import Tensor, nn

from dopsd.chat import Chat
from dopsd.diffusion.sampler import BlockSampler
from dopsd.diffusion.special_tokens import SpecialTokens
from dopsd.distillation.curriculum import LengthLimit
from dopsd.method.opdlm import OPDLM
from dopsd.method.sft import TeacherSFT
from dopsd.method.teacher_weights import FixedWeights
from dopsd.model import load_model, load_tokenizer
from dopsd.model.visible import Causal
from dopsd.rollout import Rollout
from dopsd.stream import Draw

LENGTH, BLOCK = 8, 4
GREEDY = Rollout(
    sampler=BlockSampler(gen_length=LENGTH, block_length=BLOCK, denoising_steps=LENGTH), max_attempts=1
)


@pytest.fixture(scope="module")
def path(model: str) -> str:
    return model.partition("=")[2]


def student(path: str) -> nn.Module:
    return load_model(path, init="random", visible="block_causal", block_length=BLOCK, reading="own", seed=3)


def chat_of(network: nn.Module, path: str) -> Chat:
    special = SpecialTokens(mask_id=network.mask_id, eos_id=network.eos_id, end_ids=network.end_ids)
    return Chat(tokenizer=load_tokenizer(path), special=special)


def opdlm(path: str, sft_share: float, updates: int = 1) -> OPDLM:
    """A method whose student is no longer the teacher."""
    network = student(path)
    own = {"rollout": GREEDY, "masks": "trajectory", "end_token": "excluded", "objective": OBJECTIVE()}
    own |= {"length": LengthLimit(first=1, growing_steps=0), "updates_per_rollout": updates}
    own["teacher_weights"] = FixedWeights()
    method = OPDLM(
        **shared(network=network, chat=chat_of(network, path), task=NONE), **own, sft_share=sft_share
    )
    random = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=random))
    return method


@torch.no_grad()
def greedy(network: nn.Module, prompt: list[int]) -> list[int]:
    """The most likely token behind all that stands there, until one ends the answer."""
    answer: list[int] = []
    while len(answer) < LENGTH and not (answer and answer[-1] in network.end_ids):
        logits = network(torch.tensor([prompt + answer]), visible=Causal(), reading="own").logits()[0, -1]
        logits[network.mask_id] = -torch.inf
        answer.append(int(logits.argmax()))
    return answer


def of_the_teachers(method: OPDLM, start: nn.Module, draws: list[Draw]) -> Tensor:
    """The mean loss of the teacher's own answers, each masked token in a row of its own."""
    prompts = method.chat.prompts(draw.example for draw in draws)
    method.log_step = lambda values: None  # type: ignore[method-assign]
    answers, is_taught = method._answers(draws, prompts, LENGTH)
    assert is_taught.all()
    hidden, weight = method._masked_at_random(answers)
    mask, total = method.network.mask_id, torch.zeros(())
    for row, draw in enumerate(draws):
        prompt = method.chat.encode_prompt(draw.example.prompt)
        answer = greedy(start, prompt)
        assert answers.tokens[row, : len(answer)].tolist() == answer
        for i in hidden[row].nonzero()[:, 0].tolist():
            first = i - i % BLOCK
            shown = [
                answer[j] if j < len(answer) and not hidden[row, j] else mask
                for j in range(first, first + BLOCK)
            ]
            seen = torch.tensor([prompt + answer[:first] + shown])
            logits = method.network(seen).logits()[0, len(prompt) + i]
            logits[mask] = -torch.inf
            total = total - weight[row, i] * logits.log_softmax(-1)[answer[i]] / len(draws)
    return total


def test_all_answers_are_the_teachers_and_the_loss_is_that_of_the_loop(path: str) -> None:
    method = opdlm(path, sft_share=1.0)
    expected = of_the_teachers(method, student(path), DRAWS[:3])
    study = Study(method, DRAWS[:3])
    method.network.zero_grad()
    expected.backward()
    assert study.losses[0].item() == pytest.approx(expected.item(), rel=1e-4)
    assert study.logged("opdlm/sft_loss") == study.logged("train/loss")
    assert_close(study.gradients[0], gradients_of(method.network), rtol=1e-3)


def test_a_share_of_the_answers_is_taught_and_the_others_are_distilled_as_ever(path: str) -> None:
    mixed = Study(opdlm(path, sft_share=0.5), DRAWS[:4])
    own, taught = Study(opdlm(path, sft_share=0.0), DRAWS[:2]), Study(opdlm(path, sft_share=1.0), DRAWS[2:4])
    assert mixed.losses[0].item() == pytest.approx((own.losses[0] + taught.losses[0]).item() / 2, rel=1e-4)
    means = {name: (own.gradients[0][name] + taught.gradients[0][name]) / 2 for name in own.gradients[0]}
    assert_close(mixed.gradients[0], means, rtol=1e-3)


def test_each_update_has_its_share_of_both(path: str) -> None:
    is_taught = torch.arange(16) >= 12
    dealt = opdlm(path, sft_share=0.25, updates=4)._dealt(is_taught)
    assert [is_taught[rows].tolist() for rows in dealt] == [[False] * 3 + [True]] * 4
    assert sorted(torch.cat(dealt).tolist()) == list(range(16))


@pytest.mark.parametrize("learn_from", ["all", "accepted"])
def test_sft_learns_what_the_teacher_wrote(learn_from: str, path: str) -> None:
    network = student(path)
    method = TeacherSFT(
        **shared(network=network, chat=chat_of(network, path)),
        rollout=GREEDY,
        form="exact_count",
        tail="ignored",
        learn_from=learn_from,
        teacher_weights=FixedWeights(),
    )
    method.log_step = lambda values: None  # type: ignore[method-assign]
    draws = [Draw(example=example(i), number=i) for i in range(3)]
    found = method.responses(draws, method.chat.prompts(draw.example for draw in draws))
    learnt = [draw for draw in draws if learn_from == "all" or draw.example.gold % 3 != 1]
    assert len(found) == len(learnt)
    for tokens, scored, draw in zip(found.tokens, found.scored, learnt, strict=True):
        assert tokens[scored].tolist() == greedy(network, method.chat.encode_prompt(draw.example.prompt))
