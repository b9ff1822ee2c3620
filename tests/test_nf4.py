"""A 4-bit base (bitsandbytes): close to the weights that it stands for, and trained through its adapter."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from command_line import SHORT
from setup import load, shaped

from dopsd.model import adapter_disabled, add_lora, load_model, sampling, save_weights

pytest.importorskip("bitsandbytes")
pytest.importorskip("accelerate")

SHAPE = {"d_model": 128, "n_heads": 2, "n_kv_heads": 2, "n_layers": 2, "mlp_hidden_size": 256}
PUZZLES = ("task=countdown", "task.max_number=4", "task.dev=4", "task.test=3", "prompts_per_step=3")
STEP = (*SHORT, *PUZZLES, "lora_r=2", "lora_dropout=0.1", "max_attempts=1", "learning.learn_from=all")
CANVAS = torch.randint(512, (3, 24), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def saved(tmp_path: Path) -> str:
    directory = shaped(tmp_path, vocab_size=512, **SHAPE)
    save_weights(load_model(directory, init="random"), directory)
    return directory


@torch.no_grad()
def test_it_is_close_to_what_it_stands_for(saved: str) -> None:
    exact, rounded = load_model(saved)(CANVAS), load_model(saved, quantization="nf4")(CANVAS)
    assert torch.corrcoef(torch.stack((exact.flatten(), rounded.flatten())))[0, 1] > 0.9
    assert not torch.equal(exact, rounded)


def test_gradients_pass_through_it_after_it_was_sampled_from(saved: str) -> None:
    """As through the weights that it stands for."""
    gradients = []
    for base in (
        load_model(saved, quantization="nf4"),
        load_model(saved, quantization="nf4").dequantize(),
    ):
        network = add_lora(base, r=2, alpha=4, dropout=0.0, seed=1)
        with torch.no_grad(), sampling(network) as sampled:
            sampled(CANVAS)
        network.train()(CANVAS).log_softmax(-1)[..., 5].mean().backward()
        gradients.append([p.grad for p in network.parameters() if p.requires_grad])
    for found, expected in zip(*gradients, strict=True):
        assert found is not None
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_step_trains_the_adapter_alone(saved: str, dtype: str) -> None:
    options = (f"model.path={saved}", "model.quantization=nf4", f"model.dtype={dtype}")
    method, batch = load([*STEP, *options])
    network = method.network
    adapters = {name: p for name, p in network.named_parameters() if ".lora_" in name}
    assert {name for name, p in network.named_parameters() if p.requires_grad} == adapters.keys()
    before = {name: p.detach().clone() for name, p in adapters.items()}

    def of_the_base() -> torch.Tensor:
        with torch.no_grad(), sampling(network), adapter_disabled(network):
            return network(CANVAS).logits()

    base = of_the_base()
    method.training_step(batch, 0)
    assert 0 < method.logged["train/loss"] < float("inf")
    assert 0 < method.logged["train/gradient_norm"] < float("inf")
    for name, parameter in adapters.items():
        assert parameter.grad is not None, name
        if "lora_B" in name:
            assert not torch.equal(parameter, before[name]), name
    assert torch.equal(of_the_base(), base)
    with torch.no_grad(), sampling(network) as sampled:
        assert not torch.equal(sampled(CANVAS), base)
