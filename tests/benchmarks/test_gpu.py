"""The benchmark of an 8B step, on a tiny shape and whatever device is here; and what it counts."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import gpu
import setup
from agreement import TOLERANCE, disagreement, step
from flop import Flop

from dopsd.method.clock import Clock
from dopsd.model import LLaDAConfig, MaskedDiffusionLM, add_lora, dropout_off

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
ROWS, WIDTH, AT, R = 3, 24, 4, 5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_gpu_computes_what_the_cpu_does() -> None:
    found = disagreement("cuda")
    assert all(found[name] <= allowed for name, allowed in TOLERANCE.items()), found


def test_the_cpu_agrees_with_itself() -> None:
    assert disagreement("cpu") == dict.fromkeys(TOLERANCE, 0.0)


def test_another_loss_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agreement.TRAINER", {"cpu": "trainer=cpu", "other": "rho=0.5"})
    expected = step("cpu")
    other = step("other", expected.rollout)
    assert abs(other.loss / expected.loss - 1) > TOLERANCE["loss"]
    assert (other.gradient - expected.gradient).norm() > TOLERANCE["gradient"] * expected.gradient.norm()


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    shape = {
        "d_model": 16,
        "n_heads": 4,
        "n_kv_heads": 2,
        "n_layers": 3,
        "mlp_hidden_size": 24,
        "vocab_size": 50,
    }
    config = LLaDAConfig(**shape, mask_token_id=3, eos_token_id=1, eot_token_id=2)
    model = MaskedDiffusionLM._from_config(config, dtype=torch.float32, attn_implementation="eager")
    return add_lora(model, r=R, alpha=4, dropout=0.0)


@pytest.mark.parametrize("adapted", [True, False])
def test_flop_are_those_that_torch_counts(network, adapted: bool) -> None:
    flop = Flop(network.config, R)
    canvas, at = torch.zeros(ROWS, WIDTH, dtype=torch.int64), torch.arange(AT).expand(ROWS, AT)
    run = network if adapted else network.get_base_model()
    with dropout_off(network), FlopCounterMode(display=False) as counted:
        if adapted:
            logits = run(canvas, at=at).logits()
        else:
            with torch.no_grad(), network.disable_adapter():
                network(canvas, at=at).logits()
    expected = flop.forward(ROWS, WIDTH, AT, adapted=adapted) + flop.head(ROWS * AT)
    assert counted.get_total_flops() == expected
    if adapted:
        with FlopCounterMode(display=False) as counted:
            logits.sum().backward()
        assert counted.get_total_flops() == flop.backward(ROWS, WIDTH, AT) + flop.head(ROWS * AT)


@pytest.fixture(scope="module")
def results() -> dict:
    measured, kept = {"machine": setup.machine()}, []
    gpu.measure(gpu.SHAPES["tiny"], [], DEVICE, measured, lambda sofar: kept.append(len(json.dumps(sofar))))
    assert kept == sorted(set(kept))
    return measured


def test_a_tiny_step_is_measured_in_every_way(results: dict, capsys) -> None:
    for way in ("dopsd", "shortcuts", "reference"):
        assert results[way]["trajectories_per_s"] > 0
        assert results[way]["tokens_per_s"] == pytest.approx(16 * results[way]["trajectories_per_s"])
        assert sum(results[way]["shares"].values()) == pytest.approx(1)
        assert min(results[way]["shares"].values()) >= 0
    assert results["dopsd"]["shares"].keys() == {*gpu.LOSS, "rollout", "optimizer", "rest"}
    assert results["shortcuts"]["logged"]["train/states"] < results["dopsd"]["logged"]["train/states"]
    assert all(0 < results[key] < 1 for key in ("loss_mfu", "rollout_mfu"))
    assert results["speedup"] == pytest.approx(
        results["dopsd"]["trajectories_per_s"] / results["reference"]["trajectories_per_s"]
    )
    assert results["peak_memory_gb"] > 0
    assert results["sustained_matmul_tflops"] > 0
    assert len(results["kernels_of_shortcuts"]) == 15
    gpu.show(results)
    assert "loss_mfu: " in capsys.readouterr().out


def test_what_does_not_fit_is_said_and_the_rest_shown(results: dict, capsys) -> None:
    def full() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    method = SimpleNamespace(device=torch.device("cpu"), clock=Clock())
    reference = gpu.timed(method, ["a draw"], full)
    assert reference == {"out_of_memory": "CUDA out of memory.", "prompts": 1}
    partly = results | {"reference": reference}
    partly |= gpu.summary(partly)
    assert partly["speedup"] is None
    assert partly["loss_mfu"] == results["loss_mfu"]
    gpu.show(partly)
    assert "speedup: not measured" in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_is_one_line(capsys) -> None:
    assert gpu.main([]) == 2
    built = f"torch {torch.__version__}, built for CUDA {torch.version.cuda}"
    assert capsys.readouterr().err == f"make bench-gpu: needs a CUDA device, and none is here ({built})\n"


@pytest.mark.parametrize("off", [0.5, float("nan")])
def test_a_device_that_computes_otherwise_is_measured_and_reported(
    off: float, monkeypatch: pytest.MonkeyPatch, results: dict, capsys
) -> None:
    monkeypatch.setattr(gpu, "disagreement", lambda device: {**dict.fromkeys(TOLERANCE, 0.0), "loss": off})
    monkeypatch.setattr(gpu, "measure", lambda *given: given[3].update(results | given[3]))
    assert gpu.main(["--shape", "tiny"]) == 1
    captured = capsys.readouterr()
    assert "loss_mfu: " in captured.out
    assert f"differ by {{'loss': {off}}}, allowed are " in captured.err
