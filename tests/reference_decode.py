"""Block diffusion of one prompt as LLaDA's published loop: whole-canvas logits, Python loops.

The noise is SplitMix64 in Python integers; nothing here calls the package.
"""

import itertools
import math
from dataclasses import dataclass

import torch
from fakes import EOS, EOT, MASK

LOW_64 = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
NEVER = 2**63 - 1


@dataclass
class Decoded:
    """One row of a trajectory."""

    tokens: list[int]
    step_map: list[int]
    steps: int

    def until_its_end(self) -> "Decoded":
        """Forget the steps after the first one with an end token and nothing masked before it."""
        for steps in range(self.steps + 1):
            for token, when in zip(self.tokens, self.step_map, strict=True):
                if when >= steps:
                    break
                if token in (EOS, EOT):
                    kept = [w < steps for w in self.step_map]
                    tokens = [t if k else EOS for t, k in zip(self.tokens, kept, strict=True)]
                    step_map = [w if k else NEVER for w, k in zip(self.step_map, kept, strict=True)]
                    return Decoded(tokens, step_map, steps)
        return self


def decode(
    network,
    prompt: list[int],
    sampler,
    *,
    seed: int,
    example: int,
    given: list[int] | None = None,
    keep_given: bool = True,
) -> Decoded:
    """Decode one prompt with the settings of a BlockSampler, without early exit."""
    length, block_length = sampler.gen_length, sampler.block_length
    blocks = length // block_length
    steps_a_block = sampler.denoising_steps // blocks
    canvas, step_map, step = [MASK] * length, [NEVER] * length, 0
    if given is not None:
        canvas = list(given)
        step_map = [-1 if keep_given and token != MASK else NEVER for token in given]
    stream = child(child(mix(example + GOLDEN), seed), 0)
    for block in range(blocks):
        places = range(block * block_length, (block + 1) * block_length)
        if not keep_given:
            canvas[places.start : places.stop] = [MASK] * block_length
        for i in itertools.count():
            if i == steps_a_block if sampler.threshold is None else all(canvas[p] != MASK for p in places):
                break
            logits = logits_of(network, prompt, canvas, sampler)
            ranked = []
            for place in places:
                if canvas[place] == MASK:
                    key = child(child(stream, step), place)
                    token = propose(logits[place].tolist(), key, sampler.temperature)
                    score = score_of(logits[place].double(), token, key, sampler.remasking)
                    if sampler.end_of_text == "last" and token in (EOS, EOT):
                        score = -math.inf
                    ranked.append((-score, place, token))
            ranked.sort()
            count = block_length // steps_a_block + (i < block_length % steps_a_block)
            if sampler.threshold is not None:
                count = max(1, sum(-score >= sampler.threshold for score, _, _ in ranked))
            for _, place, token in ranked[:count]:
                canvas[place], step_map[place] = token, step
            step += 1
    return Decoded(canvas, step_map, step)


def logits_of(network, prompt: list[int], canvas: list[int], sampler) -> torch.Tensor:
    """Of the canvas, guided where the sampler is, without what must not be written."""
    logits = network(torch.tensor([prompt + canvas])).logits()[0, len(prompt) :].detach()
    if sampler.cfg_scale:
        logits, blind = logits.float(), network(torch.tensor([[MASK] * len(prompt) + canvas])).logits()
        blind = blind[0, len(prompt) :].detach().float()
        logits = blind + (sampler.cfg_scale + 1) * (logits - blind)
    logits[:, MASK] = -torch.inf
    if sampler.end_of_text == "forbidden":
        logits[:, EOS] = -torch.inf
    return logits


def score_of(logits: torch.Tensor, token: int, key: int, remasking: str) -> float:
    """By which positions are put in order."""
    if remasking == "random":
        return uniform(child(key, 2))
    if remasking == "low_confidence":
        return float(logits.softmax(-1)[token])
    probabilities = sorted(logits.softmax(-1).tolist(), reverse=True)
    if remasking == "margin":
        return probabilities[0] - probabilities[1]
    assert remasking == "entropy"
    return sum(p * math.log(p) for p in probabilities if p > 0)


def propose(logits: list[float], key: int, temperature: float) -> int:
    """The most likely token, or the first one at which the summed probabilities pass the position's number."""
    if temperature == 0:
        return max(range(len(logits)), key=lambda v: logits[v])
    weights = [math.exp((logit - max(logits)) / temperature) for logit in logits]
    passed, number = 0.0, uniform(child(key, 1)) * sum(weights)
    for token, weight in enumerate(weights):
        passed += weight
        if passed > number:
            return token
    raise AssertionError("the number is below 1")


def mix(z: int) -> int:
    """SplitMix64's finaliser."""
    z &= LOW_64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & LOW_64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & LOW_64
    return z ^ (z >> 31)


def child(key: int, counter: int) -> int:
    """SplitMix64's output `counter` from the state `key`."""
    return mix(key + (counter + 1) * GOLDEN)


def uniform(key: int) -> float:
    """A number in (0, 1) from the high 52 bits."""
    return ((key >> 12) + 0.5) / 2**52
