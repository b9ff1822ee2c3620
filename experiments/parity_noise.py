"""What the released code's truncated Gumbel noise draws: `python experiments/parity_noise.py`.

Takes a few minutes on one core, writes experiments/parity/noise.json and prints it: a flat tail of LLaDA's vocabulary,
the distributions of the embedded model's own choices on Countdown, and the answers that are accepted there.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from dopsd.chat import Chat
from dopsd.config.build import build
from dopsd.diffusion.confidence import forbid
from dopsd.diffusion.noise import coarse_gumbel, example_keys
from dopsd.diffusion.special_tokens import SpecialTokens
from dopsd.diffusion.unmasking import NoiseDtype, propose
from dopsd.entry.composing import CONF
from dopsd.evaluation.interval import Interval
from dopsd.evaluation.paired import PairedComparison
from dopsd.model import load_model, load_tokenizer
from dopsd.rollout import Rollout, RolloutBatch
from dopsd.stream import Draw

WAYS: dict[str, NoiseDtype] = {"exact": "float64", "truncated": "bfloat16"}
VOCABULARY, TAIL, TEMPERATURE = 126_464, 0.216, 0.9
TEMPERATURES = (0.6, 0.9, 1.2)
PROMPTS, TRIES, LOOKED_AT, AT_ONCE = 256, 4, 16, 64
SURE = 0.999


def main(target: Path) -> None:
    """All three."""
    torch.set_num_threads(1)
    network, tokenizer = load_model("tiny", dtype="float32"), load_tokenizer("tiny")
    special = SpecialTokens(mask_id=network.mask_id, eos_id=network.eos_id, end_ids=network.end_ids)
    chat = Chat(tokenizer=tokenizer, special=special)
    with initialize_config_dir(CONF, version_base="1.3"):
        config = compose("train", ["task=countdown", "parity=ours"])
    task, rollout = build(config, "task"), build(config, "rollout")
    draws = [Draw(example=it, number=n) for n, it in enumerate(task.examples("train")[:PROMPTS])]
    tried = {way: list(asked(network, chat, task, rollout, draws, noise)) for way, noise in WAYS.items()}
    found = {
        "flat_tail": flat_tail(),
        "distributions": distributions(network, chat, draws[:LOOKED_AT], tried["exact"][0]),
        "acceptance": acceptance(tried, draws),
    }
    target.mkdir(exist_ok=True)
    (target / "noise.json").write_text(json.dumps(found, indent=1) + "\n")
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


@torch.no_grad()
def asked(
    network: Any, chat: Chat, task: Any, rollout: Rollout, draws: list[Draw], noise: NoiseDtype
) -> Iterator[RolloutBatch]:
    """Every try at every prompt."""
    sampler = replace(rollout.sampler, temperature=TEMPERATURE, noise_dtype=noise)
    by = replace(rollout, sampler=sampler, keep="all", max_attempts=TRIES, parallel_tries=TRIES)
    for start in range(0, len(draws), AT_ONCE):
        part = draws[start : start + AT_ONCE]
        prompts = chat.prompts(draw.example for draw in part)
        yield by.collect(network, part, prompts, chat=chat, task=task, seed=0)


def flat_tail() -> dict[str, int]:
    """Different tokens in 1,000 draws of one likely entry with a tail of equal ones that have 21.6 % of the mass."""
    logits = torch.zeros(VOCABULARY)
    logits[0] = TEMPERATURE * torch.tensor((1 - TAIL) / TAIL * (VOCABULARY - 1)).log()
    keys = example_keys(0, range(1000))
    return {
        way: len({int(propose(logits, key, temperature=TEMPERATURE, noise_dtype=noise)) for key in keys})
        for way, noise in WAYS.items()
    }


@torch.no_grad()
def distributions(network: Any, chat: Chat, draws: list[Draw], batch: RolloutBatch) -> dict[str, Any]:
    """Of the choices made in first tries at some prompts: how far apart the two samplers are, at some temperatures."""
    logits = choices(network, chat, draws, batch)
    entropies, rows = {}, []
    for temperature in TEMPERATURES:
        exact = (logits.double() / temperature).softmax(-1)
        drawn = torch.stack([truncated(row, temperature) for row in logits])
        apart = (exact - drawn).abs().sum(-1) / 2
        sure, best = exact.max(-1)
        other = {
            name: 1 - of.gather(-1, best[:, None])[:, 0]
            for name, of in (("exact", exact), ("truncated", drawn))
        }
        entropies[temperature] = float(torch.special.entr(drawn).sum(-1).mean())
        rows.append(
            {
                "temperature": temperature,
                "total_variation_mean": float(apart.mean()),
                "total_variation_95th": float(apart.quantile(0.95)),
                "entropy_exact": float(torch.special.entr(exact).sum(-1).mean()),
                "entropy_truncated": entropies[temperature],
                "never_drawn_mass": float(exact.where(drawn == 0, 0.0).sum(-1).mean()),
                "sure_choices": int((sure > SURE).sum()),
                **{
                    f"other_token_where_sure_{name}": float(of[sure > SURE].mean())
                    for name, of in other.items()
                },
                "as_exact_at_temperature": temperature_of(logits, entropies[temperature]),
            }
        )
    return {"choices": len(logits), "at": rows}


def choices(network: Any, chat: Chat, draws: list[Draw], batch: RolloutBatch) -> Tensor:
    """The logits at every position that a step wrote, one row each."""
    rows = ((batch.attempt == 0) & (batch.prompt < len(draws))).nonzero()[:, 0]
    prompts = chat.prompts(draw.example for draw in draws)
    states = batch.trajectory[rows].visited_states(chat.special.mask_id)
    at = prompts.tokens.shape[1] + states.unmasked_now.to(torch.uint8).argmax(-1, keepdim=True)
    hidden = network(*prompts[states.rollout].followed_by(states.canvas), at=at)
    return forbid(hidden.logits()[:, 0], chat.special.mask_id)


def truncated(logits: Tensor, temperature: float) -> Tensor:
    """What each entry's chance of being drawn is: sum over its noise v of p(v) prod over others of P(they stay below).

    The logarithm of that product, over all entries, is a sum of steps at each entry's possible scores.
    """
    values, chances, none = _noise()
    logits = logits.bfloat16().double()
    second = logits.topk(2).values[1]  # the best one has no noise, and is not drawn, once in 512 times
    near = (logits >= second - 8.1 * temperature).nonzero()[:, 0]  # noise is from -2.5 to 5.6
    score = logits[near, None] + temperature * values
    log_below = (none + chances.cumsum(0)).log()  # of one entry, by the score that it stays below
    steps = log_below.diff(prepend=torch.tensor([none]).log().double()).expand_as(score)
    order = score.flatten().argsort()
    reached = torch.empty_like(order, dtype=torch.float64)
    reached[order] = steps.flatten()[order].cumsum(0) + len(near) * torch.tensor(none).log()
    drawn = (chances * (reached.view_as(score) - log_below).exp()).sum(-1)
    return torch.zeros_like(logits).index_put((near,), drawn / drawn.sum())


@cache
def _noise() -> tuple[Tensor, Tensor, float]:
    """Its values, their chances, and that of none, counted over many draws."""
    values, counts = coarse_gumbel(example_keys(0, range(64)), 1 << 15).double().unique(return_counts=True)
    chances = counts.double() / counts.sum()
    return values[1:], chances[1:], float(chances[0])


def temperature_of(logits: Tensor, entropy: float) -> float:
    """The temperature at which exact sampling of these choices has this mean entropy, by bisection."""
    low, high = 0.01, 5.0
    for _ in range(40):
        middle = (low + high) / 2
        is_below = torch.special.entr((logits.double() / middle).softmax(-1)).sum(-1).mean() < entropy
        low, high = (middle, high) if is_below else (low, middle)
    return low


def acceptance(tried: dict[str, list[RolloutBatch]], draws: list[Draw]) -> dict[str, Any]:
    """Accepted share of single tries, of prompts with an accepted one among all tries, and how many answers differ."""
    found, shares = {}, {}
    for way, batches in tried.items():
        verdicts = [it.accepted for batch in batches for it in batch.verdicts]
        answers = [text for batch in batches for text in batch.responses]
        of_prompts = [slice(n * TRIES, (n + 1) * TRIES) for n in range(len(draws))]
        shares[way] = {str(n): sum(verdicts[of]) / TRIES for n, of in enumerate(of_prompts)}
        found[way] = {
            "accepted": asdict(Interval.of_problems(list(shares[way].values()))),
            "accepted_among_all": asdict(
                Interval.of(sum(any(verdicts[of]) for of in of_prompts), len(draws))
            ),
            "different_answers": sum(len(set(answers[of])) for of in of_prompts) / len(draws),
        }
    found["difference"] = asdict(PairedComparison.of(shares["exact"], shares["truncated"]))
    return found


if __name__ == "__main__":
    main(Path(__file__).parent / "parity")
