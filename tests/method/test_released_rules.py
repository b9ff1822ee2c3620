"""The released code's other habits, each against its rule written down again: steps, digits, words, what is graded."""

import math
from dataclasses import replace

import pytest
import torch
from fakes import CHAT, EOS, EOT, PROMPT, SPECIAL, JudgeTask, TinyNetwork, example
from small_run import DRAWS, NETWORK_SEED, NONE, SAMPLER, Study, dopsd, gradients_of

from dopsd.diffusion.noise import Purpose, coarse_gumbel, derive, example_keys
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.unmasking import propose, score
from dopsd.distillation.clip import PointwiseClip
from dopsd.distillation.divergence import Objective, ReverseKL
from dopsd.distillation.teacher import ARPrefixTeacher
from dopsd.evaluation.decode import EvaluationPrompts, evaluate, keys_of
from dopsd.method.learning import Learning
from dopsd.method.teacher_weights import LiveWeights
from dopsd.rollout import Rollout

LR, BETAS, DECAY, EPSILON = 0.01, (0.9, 0.99), 0.1, 1e-8


def optimised(method) -> torch.optim.AdamW:
    """AdamW in the place of the trainer's."""
    optimizer = torch.optim.AdamW(method.network.parameters(), lr=LR, betas=BETAS, weight_decay=DECAY)
    method.optimizers = lambda **_: optimizer
    method.manual_backward = lambda loss: loss.backward()
    method.log_step = lambda values: None
    return optimizer


def adamw(weight: float, m: float, v: float, t: int, gradient: float) -> tuple[float, float, float]:
    """One step of the published algorithm (t counts from 1)."""
    m, v = BETAS[0] * m + (1 - BETAS[0]) * gradient, BETAS[1] * v + (1 - BETAS[1]) * gradient**2
    m_hat, v_hat = m / (1 - BETAS[0] ** t), v / (1 - BETAS[1] ** t)
    return weight - LR * DECAY * weight - LR * m_hat / (math.sqrt(v_hat) + EPSILON), m, v


def weights(method) -> list[float]:
    return method.network.own.detach().flatten().tolist()


def test_where_nothing_is_accepted_the_optimizers_memory_moves_the_weights() -> None:
    learning = Learning(updates_per_rollout=3, nothing_to_learn="zero_gradient")
    method = dopsd(task=NONE, learning=learning)
    optimized = optimised(method)
    remembered = torch.randn(method.network.own.shape, generator=torch.Generator().manual_seed(1)).double()
    for parameter in method.network.parameters():
        parameter.grad = remembered.clone() if parameter is method.network.own else torch.ones_like(parameter)
    before = weights(method)
    optimized.step()
    method.training_step(DRAWS, 1)
    for start, end, first in zip(before, weights(method), remembered.flatten().tolist(), strict=True):
        value, m, v = adamw(start, 0.0, 0.0, 1, first)
        for t in (2, 3, 4):
            value, m, v = adamw(value, m, v, t, 0.0)
        assert end == pytest.approx(value, abs=1e-9)
    assert method.budget.spent["optimizer_steps"] == 3
    after = weights(method)
    method.learning = Learning(updates_per_rollout=3)
    method.training_step(DRAWS, 2)
    assert weights(method) == after


def test_the_first_update_of_a_run_is_remembered_but_moves_nothing() -> None:
    method = dopsd(learning=Learning(first_update="rate_zero"))
    optimizer, before = optimised(method), weights(method)
    method.training_step(DRAWS, 0)
    assert weights(method) == before
    assert float(optimizer.state[method.network.own]["exp_avg"].abs().max()) > 0
    (first,) = (gradients_of(method.network)["own"].flatten().tolist(),)
    assert optimizer.param_groups[0]["lr"] == LR
    method.training_step(DRAWS, 1)
    second = gradients_of(method.network)["own"].flatten().tolist()
    for start, end, g1, g2 in zip(before, weights(method), first, second, strict=True):
        _, m, v = adamw(start, 0.0, 0.0, 1, g1)
        assert end == pytest.approx(adamw(start, m, v, 2, g2)[0], abs=1e-9)


class Watched(TinyNetwork):
    """Remembers in which mode it was asked."""

    def forward(self, canvas, attention_mask=None, at=None):
        self.__dict__.setdefault("modes", []).append(self.training)
        return super().forward(canvas, attention_mask, at)


@pytest.mark.parametrize("dropout", [False, True])
def test_a_teacher_with_the_students_weights_may_have_its_dropout(dropout: bool) -> None:
    network = Watched(NETWORK_SEED).train()
    Study(dopsd(network=network, teacher_weights=LiveWeights(), learning=Learning(teacher_dropout=dropout)))
    assert network.modes[-2:] == [dropout, True]
    assert not any(network.modes[:-2])


def bf16(number: float) -> float:
    """Rounded to eight binary digits, halves to even."""
    mantissa, exponent = math.frexp(number)
    return math.ldexp(round(mantissa * 256) / 256, exponent)


def coarse_softmax(logits: list[float]) -> list[float]:
    largest = max(map(bf16, logits))
    odds = [math.exp(bf16(logit) - largest) for logit in logits]
    return [bf16(each / math.fsum(odds)) for each in odds]


def test_coarse_confidence_is_a_probability_of_eight_bits_and_makes_ties() -> None:
    random = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(40, 12, generator=random)
    logits[:20, 0] = 12 + torch.rand(20, generator=random)
    tokens, keys = logits.argmax(-1), torch.zeros(40, dtype=torch.int64)
    found = score(logits, tokens, keys, "low_confidence", dtype="bfloat16")
    expected = [coarse_softmax(row.tolist())[int(token)] for row, token in zip(logits, tokens, strict=True)]
    assert found.sigmoid().tolist() == pytest.approx(expected, abs=1e-6)
    assert len(found.unique()) == len(set(expected)) < 30
    assert len(score(logits, tokens, keys, "low_confidence").unique()) == 40


def test_coarse_noise_draws_the_argmax_of_the_released_formula() -> None:
    random = torch.Generator().manual_seed(4)
    logits, keys = 4 * torch.randn(200, 30, generator=random), example_keys(0, range(200))
    found = propose(logits, keys, temperature=0.9, noise_dtype="bfloat16").tolist()
    for row, drawn in enumerate(found):
        noise = coarse_gumbel(derive(keys[row], Purpose.TOKEN), 30).double().tolist()
        numbers = [0.0 if it < -100 else bf16(math.exp(-math.exp(-it))) for it in noise]  # 1 was made 0
        scores = [
            math.exp(bf16(float(logit))) / (-math.log(u)) ** 0.9 if u else 0.0
            for logit, u in zip(logits[row], numbers, strict=True)
        ]
        assert scores[drawn] == pytest.approx(max(scores), rel=1e-5)


def test_a_coarse_loss_rounds_every_entry() -> None:
    random = torch.Generator().manual_seed(6)
    student = 3 * torch.randn(30, 40, generator=random)
    teacher = torch.rand(30, 40, generator=random).argsort(-1) / 8  # no two are equal when they are rounded
    clip, losses = PointwiseClip(maximum=0.05), []
    for own, other in zip(student.tolist(), teacher.tolist(), strict=True):
        top = sorted(range(40), key=lambda i: -bf16(other[i]))[:20]
        log_p, log_q = (coarse_log_softmax([row[i] for i in top]) for row in (own, other))
        entries = [bf16(bf16(math.exp(p)) * bf16(p - q)) for p, q in zip(log_p, log_q, strict=True)]
        losses.append(math.fsum(min(entry, bf16(0.05)) for entry in entries))
    found = Objective(divergence=ReverseKL(), clip=clip, vocab_top_k=20, dtype="bfloat16")
    fine = Objective(divergence=ReverseKL(), clip=clip, vocab_top_k=20).compare(student, teacher).loss
    coarse = found.compare(student, teacher).loss
    assert coarse.tolist() == pytest.approx(losses, abs=1e-6)
    assert float(((coarse - fine) / fine).abs().median()) > 1e-3


def coarse_log_softmax(logits: list[float]) -> list[float]:
    """Torch's own: on a CPU it rounds on the way, too."""
    rounded = list(map(bf16, logits))
    total = math.log(math.fsum(math.exp(logit - max(rounded)) for logit in rounded)) + max(rounded)
    found = torch.tensor(rounded).bfloat16().log_softmax(-1).tolist()
    assert found == pytest.approx([logit - total for logit in rounded], rel=2**-7, abs=0.01)
    return found


@pytest.mark.parametrize("judged", ["answer", "canvas"])
def test_what_is_graded_is_the_answer_or_all_that_was_written(judged: str) -> None:
    heard: list[str] = []
    task = JudgeTask(lambda response, gold: float(bool(heard.append(response))))
    rollout = Rollout(sampler=replace(SAMPLER, early_exit=False), max_attempts=1, judged=judged)  # type: ignore[arg-type]
    prompts = CHAT.prompts(draw.example for draw in DRAWS)
    batch = rollout.collect(TinyNetwork(NETWORK_SEED), DRAWS, prompts, chat=CHAT, task=task, seed=0)
    rows = batch.trajectory.tokens.tolist()
    ends = [min(i for i, token in enumerate([*row, EOS]) if token in (EOS, EOT)) for row in rows]
    assert any(
        max(row[end:], default=EOS) > PROMPT for row, end in zip(rows, ends, strict=True)
    )  # text behind it
    until = [len(row) if judged == "canvas" else end for row, end in zip(rows, ends, strict=True)]
    graded = [row[:stop] for row, stop in zip(rows, until, strict=True)]
    assert sorted(heard) == sorted(CHAT.tokenizer.batch_decode(graded))


def test_the_reference_solution_is_worded_as_told() -> None:
    asked = example(0, solution="ab")
    assert ARPrefixTeacher().message(asked) == f"{asked.prompt}\n\nHere is a correct solution:\nab"
    assert ARPrefixTeacher(wording="So: {solution}!").message(asked) == f"{asked.prompt}\n\nSo: ab!"
    with pytest.raises(ValueError, match=r"wording='So': must contain \{solution\}"):
        ARPrefixTeacher(wording="So")


def test_long_prompts_of_a_training_keep_their_last_tokens() -> None:
    chat, whole = replace(CHAT, max_prompt_length=3), CHAT.encode_prompt("abcdef")
    assert whole[-1] == PROMPT
    assert chat.prompts_of(["abcdef", "a"]).tokens.tolist() == [whole[-3:], [EOS, *CHAT.encode_prompt("a")]]
    assert chat.prompts_of(["abcdef"], last=5).tokens.tolist() == [whole[-5:]]
    assert CHAT.prompts_of(["abcdef"]).tokens.tolist() == [whole]
    cut = [replace(it, example=replace(it.example, prompt=it.example.prompt[-2:])) for it in DRAWS]
    losses = [Study(dopsd(chat=chat)).losses, Study(dopsd(), cut).losses, Study(dopsd()).losses]
    assert float(losses[0][0]) == float(losses[1][0]) != float(losses[2][0])


@pytest.mark.parametrize("padding", ["masked", "seen"])
def test_held_out_prompts_are_prefilled_and_their_padding_may_be_seen(padding: str) -> None:
    network, examples = TinyNetwork(NETWORK_SEED), [example(i) for i in range(5)]
    put = EvaluationPrompts(prefill="ab", padding=padding)  # type: ignore[arg-type]
    task = JudgeTask(lambda response, gold: 1.0)
    found = evaluate(
        network, task=task, examples=examples, chat=CHAT, sampler=SAMPLER, put=put, batch_size=2, seed=0
    )
    prefilled = [CHAT.encode_prompt(it.prompt) + CHAT.tokenizer.encode("ab") for it in examples]
    for start in (0, 2, 4):
        width = max(map(len, prefilled[start : start + 2]))
        for row in range(start, min(start + 2, 5)):
            padded = [EOS] * (width - len(prefilled[row])) + prefilled[row]
            prompt = padded if padding == "seen" else prefilled[row]
            alone = SAMPLER.sample(
                network, Prompts.pad([prompt], EOS), keys_of(examples[row : row + 1], 0, "cpu"), SPECIAL
            )
            assert found.samples[row].answer == CHAT.answers(alone.tokens)[0]
    assert [sample.id for sample in found.samples] == [it.id for it in examples]
