"""Training steps on canvases of many shapes, with compiled layers and without: the same figures, from few graphs.

Graphs are counted and then run as they are, without a compiler. A process of its own, because the type checks that the
tests switch on cannot be traced.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from setup import load, shaped

LAYERS = {"d_model": 16, "n_heads": 1, "n_kv_heads": 1, "n_layers": 8, "mlp_hidden_size": 16}
SHORT = ("gen_length=8", "block_length=4", "denoising_steps=4", "max_attempts=1", "micro_batch_tokens=200")
PUZZLES = ("task=countdown", "task.max_number=4", "task.dev=4", "task.test=3", "prompts_per_step=4")
ADAPTERS = ("lora_r=2", "lora_dropout=0.2", "lora.targets=[q_proj,up_proj]", "learning.learn_from=all")
STEP = ("model.init=random", *SHORT, *PUZZLES, *ADAPTERS, "cache=dual")

SAMPLING = 4  # a cache is filled or renewed, and the last layer has queries only where they are wanted
TEACHING = 2  # without a cache
LEARNING = 3  # with gradients, of which the first layer's input has none
ROWS = 2  # one, or more

graphs: list[torch.fx.GraphModule] = []


def keep(graph: torch.fx.GraphModule, inputs: object) -> Callable:
    """A backend for torch.compile."""
    graphs.append(graph)
    return graph.forward


def steps(model: str, compile: str) -> list[dict[str, float]]:
    """What each step logs."""
    method, batch = load([*STEP, f"model.path={model}", f"model.compile={compile}"])
    found = []
    for step, prompts in enumerate((4, 3)):
        torch.manual_seed(step)
        method.training_step(batch[:prompts], step)
        found.append(dict(method.logged))
    return found


if __name__ == "__main__":
    model = shaped(Path(sys.argv[1]), vocab_size=512, **LAYERS)
    expected = steps(model, "false")
    torch.compile = partial(torch.compile, backend=keep)
    assert steps(model, "true") == expected
    assert 0 < len(graphs) <= (SAMPLING + TEACHING + LEARNING) * ROWS, len(graphs)
