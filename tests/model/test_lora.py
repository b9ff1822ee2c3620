"""Adapters: targets that exist, a seeded start, an untouched base, and files that fit or are refused."""

import json

import pytest
import torch
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file

from dopsd.model import (
    ALL_LINEAR,
    CheckpointError,
    adapter_disabled,
    add_lora,
    dropout_off,
    load_adapter,
    load_adapter_weights,
    load_model,
    sampling,
    save_weights,
)
from dopsd.model.family import LLADA

SETTINGS = {"r": 4, "alpha": 8.0, "dropout": 0.0}


@pytest.fixture
def adapted(make_model):
    """A model whose adapter does something: its second matrices are no longer zero."""
    adapted = add_lora(make_model(), **SETTINGS, seed=1)
    disturb(adapted)
    return adapted


def disturb(adapted):
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))


def test_every_linear_layer_is_adapted_and_nothing_else_trains(make_model):
    adapted = add_lora(make_model(), **SETTINGS)
    trainable = [name for name, parameter in adapted.named_parameters() if parameter.requires_grad]
    assert len(trainable) == 2 * 7 * 2  # layers x targets x (A, B)
    assert all("lora_" in name for name in trainable)


@pytest.mark.parametrize("target", ["attn_out", "ff_proj", "qproj", "mlp", ""])
def test_a_target_that_matches_nothing_is_refused_by_name(make_model, target):
    with pytest.raises(ValueError, match=f"target '{target}' matches no linear layer") as caught:
        add_lora(make_model(), **SETTINGS, targets=["q_proj", target])
    assert "o_proj" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "bad", [{"r": 0}, {"alpha": 0}, {"dropout": 1.0}, {"targets": []}, {"targets": "q_proj"}]
)
def test_impossible_settings_are_refused(make_model, bad):
    with pytest.raises(ValueError, match="LoRA"):
        add_lora(make_model(), **{**SETTINGS, **bad})


@torch.no_grad()
def test_a_new_adapter_changes_nothing_and_follows_from_its_seed(make_model, canvas):
    base = make_model()
    expected = base(canvas).logits()
    state = torch.random.get_rng_state()
    first = add_lora(base, **SETTINGS, seed=7)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(first(canvas).logits(), expected)
    torch.manual_seed(123)
    weights = [lora_a(add_lora(make_model(), **SETTINGS, seed=seed)) for seed in (7, 8)]
    assert torch.equal(lora_a(first), weights[0])
    assert not torch.equal(lora_a(first), weights[1])


def lora_a(adapted):
    return next(parameter for name, parameter in adapted.named_parameters() if "lora_A" in name)


@torch.no_grad()
def test_disabling_the_adapter_gives_back_the_base_exactly(make_model, adapted, canvas, left_padding):
    base, changed = make_model()(canvas, left_padding).logits(), adapted(canvas, left_padding).logits()
    with adapter_disabled(adapted):
        assert torch.equal(adapted(canvas, left_padding).logits(), base)
    assert not torch.equal(changed, base)
    assert torch.equal(adapted(canvas, left_padding).logits(), changed)


@pytest.mark.parametrize("trainable", [True, False])
def test_disabling_keeps_what_trains(adapted, tmp_path, make_model, trainable):
    save_weights(adapted, tmp_path / "adapter")
    loaded = load_adapter(make_model(), tmp_path / "adapter")
    if not trainable:
        loaded.requires_grad_(False)
    flags = [parameter.requires_grad for parameter in loaded.parameters()]
    assert any(flags) is trainable
    with pytest.raises(KeyError), adapter_disabled(loaded):
        raise KeyError
    assert [parameter.requires_grad for parameter in loaded.parameters()] == flags


def test_gradients_reach_the_adapter_across_a_disabled_forward(adapted, canvas):
    adapted.train()
    student = adapted(canvas).logits().log_softmax(-1)
    with torch.no_grad(), adapter_disabled(adapted):
        teacher = adapted(canvas).logits().log_softmax(-1)
    (student - teacher).square().mean().backward()
    for name, parameter in adapted.named_parameters():
        assert (parameter.grad is not None and parameter.grad.abs().sum() > 0) == ("lora_" in name), name


def test_activation_checkpointing_gives_the_adapter_equal_gradients(canvas):
    """With dropout: a layer that runs again draws the same numbers."""
    found = []
    for checkpointed in (False, True):
        base = load_model("tiny", init="random", activation_checkpointing=checkpointed)
        calls = []
        for layer in base.model.layers:
            layer.mlp.register_forward_pre_hook(lambda *_, calls=calls: calls.append(1))
        adapted = add_lora(base, r=4, alpha=8.0, dropout=0.3, seed=1)
        disturb(adapted)
        adapted.train()
        torch.manual_seed(3)
        loss = adapted(canvas).logits().log_softmax(-1)[..., 5].mean()
        loss.backward()
        assert len(calls) == len(base.model.layers) * (2 if checkpointed else 1)
        gradients = [p.grad for p in adapted.parameters() if p.requires_grad]
        assert all(gradient.abs().sum() > 0 for gradient in gradients)
        found.append([loss.detach(), *gradients])
    for plain, checkpointed in zip(*found, strict=True):
        assert torch.equal(plain, checkpointed)


@torch.no_grad()
def test_dropout_off_is_deterministic_and_restores_each_mode(make_model, canvas):
    adapted = add_lora(make_model(), r=4, alpha=8.0, dropout=0.5, seed=1)
    disturb(adapted)
    adapted.train()
    adapted.get_base_model().lm_head.eval()
    modes = [module.training for module in adapted.modules()]
    assert not torch.equal(adapted(canvas).logits(), adapted(canvas).logits())
    with dropout_off(adapted):
        assert torch.equal(adapted(canvas).logits(), adapted(canvas).logits())
    assert [module.training for module in adapted.modules()] == modes


@torch.no_grad()
def test_saving_and_loading_an_adapter_is_bit_equal(make_model, adapted, tmp_path, canvas):
    save_weights(adapted, tmp_path / "adapter")
    assert {f.name for f in (tmp_path / "adapter").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert torch.equal(
        load_adapter(make_model(), tmp_path / "adapter")(canvas).logits(), adapted(canvas).logits()
    )
    fresh = add_lora(make_model(), **SETTINGS, seed=9)
    load_adapter_weights(fresh, tmp_path / "adapter")
    assert torch.equal(fresh(canvas).logits(), adapted(canvas).logits())


@torch.no_grad()
def test_an_adapter_under_official_names_is_renamed_not_garbled(make_model, adapted, tmp_path, canvas):
    expected = adapted(canvas).logits()
    save_weights(adapted, tmp_path / "adapter")
    edit_tensors(tmp_path / "adapter", lambda tensors: {official(name): t for name, t in tensors.items()})
    edit_config(
        tmp_path / "adapter", target_modules=["q_proj", "attn_out", "ff_proj", "gate_proj", "down_proj"]
    )
    assert torch.equal(load_adapter(make_model(), tmp_path / "adapter")(canvas).logits(), expected)
    edit_config(tmp_path / "adapter", alpha_pattern={"attn_out": 4})
    refused(make_model(), tmp_path / "adapter", "alpha_pattern")


def official(adapter_name):
    prefix = "base_model.model."
    module, leaf = adapter_name.removeprefix(prefix).split(".lora_")
    return f"{prefix}{LLADA.official_name(f'{module}.weight').removesuffix('.weight')}.lora_{leaf}"


def edit_tensors(directory, change):
    tensors = change(load_file(directory / "adapter_model.safetensors"))
    save_file(tensors, directory / "adapter_model.safetensors")


def edit_config(directory, **fields):
    config = json.loads((directory / "adapter_config.json").read_text())
    (directory / "adapter_config.json").write_text(json.dumps({**config, **fields}))


def refused(model, directory, *said):
    with pytest.raises(CheckpointError) as caught:
        load_adapter(model, directory)
    assert "\n" not in str(caught.value)
    for words in said:
        assert words in str(caught.value)


def test_an_adapter_that_does_not_fit_is_refused(make_model, adapted, tmp_path):
    directory = tmp_path / "adapter"
    key = "base_model.model.model.layers.1.mlp.down_proj.lora_B.weight"

    def with_change(change):
        save_weights(adapted, directory)
        edit_tensors(directory, change)

    with_change(lambda tensors: {name: t for name, t in tensors.items() if name != key})
    base = make_model()
    refused(base, directory, "missing", "layers.1.mlp.down_proj.lora_B")
    assert not any("lora_" in name for name, _ in base.named_parameters())
    with_change(lambda tensors: {**tensors, key: torch.zeros(3, 3)})
    refused(make_model(), directory, "shape", "layers.1.mlp.down_proj.lora_B")
    with_change(lambda tensors: {name.replace("down_proj", "w2"): t for name, t in tensors.items()})
    refused(make_model(), directory)
    edit_config(directory, peft_type="IA3")
    refused(make_model(), directory, "IA3")
    save_weights(adapted, directory)
    whole = (directory / "adapter_model.safetensors").read_bytes()
    (directory / "adapter_model.safetensors").write_bytes(whole[:-8])
    refused(make_model(), directory, "cannot read the adapter")
    (directory / "adapter_model.safetensors").unlink()
    refused(make_model(), directory, "adapter_model.safetensors")


def test_an_adapter_is_not_taken_for_a_model(adapted, tmp_path):
    save_weights(adapted.get_base_model(), tmp_path / "both")
    save_weights(adapted, tmp_path / "both" / "adapter")
    for file in (tmp_path / "both" / "adapter").iterdir():
        file.rename(tmp_path / "both" / file.name)
    with pytest.raises(CheckpointError, match="holds an adapter"):
        load_model(tmp_path / "both")


def test_an_adapter_of_another_scale_is_not_loaded_into_this_one(make_model, adapted, tmp_path):
    save_weights(adapted, tmp_path / "adapter")
    other = add_lora(make_model(), r=4, alpha=16.0, dropout=0.0)
    with pytest.raises(CheckpointError, match="alpha"):
        load_adapter_weights(other, tmp_path / "adapter")


def test_adapters_of_a_bfloat16_model_train_in_float32(make_model):
    adapted = add_lora(make_model().to(torch.bfloat16), **SETTINGS, targets=ALL_LINEAR)
    dtypes = {name: parameter.dtype for name, parameter in adapted.named_parameters()}
    assert all((dtype == torch.float32) == ("lora_" in name) for name, dtype in dtypes.items())


@torch.no_grad()
def test_sampling_folds_the_adapter_in_and_leaves_every_weight_as_it_was(adapted, canvas, left_padding):
    adapted.train()
    expected = adapted(canvas, left_padding).logits()
    before = {name: tensor.clone() for name, tensor in adapted.state_dict().items()}
    flags = [parameter.requires_grad for parameter in adapted.parameters()]
    products = count_of_matrix_products(adapted, canvas)
    with sampling(adapted) as denoiser:
        torch.testing.assert_close(denoiser(canvas, left_padding).logits(), expected, rtol=1e-5, atol=1e-5)
        assert count_of_matrix_products(denoiser, canvas) == products - 2 * 2 * 7
    assert torch.equal(adapted(canvas, left_padding).logits(), expected)
    assert all(torch.equal(tensor, before[name]) for name, tensor in adapted.state_dict().items())
    assert [parameter.requires_grad for parameter in adapted.parameters()] == flags


@torch.no_grad()
def test_sampling_folds_nothing_into_a_base_of_less_precision(make_model, canvas):
    adapted = add_lora(make_model().bfloat16(), **SETTINGS, seed=1)
    disturb(adapted)
    expected = adapted(canvas).logits()
    with sampling(adapted) as denoiser:
        assert torch.equal(denoiser(canvas).logits(), expected)


def test_weights_come_back_where_sampling_fails(adapted, canvas):
    expected = adapted(canvas).logits()
    with pytest.raises(KeyError), sampling(adapted):
        raise KeyError
    assert torch.equal(adapted(canvas).logits(), expected)


def count_of_matrix_products(network, canvas) -> int:
    with torch.profiler.profile() as profiler:
        network(canvas).logits()
    return sum(event.name == "aten::linear" for event in profiler.events())


def test_adapters_of_a_bfloat16_model_compute_in_bfloat16_and_learn_in_float32(make_model, canvas):
    exact, low = (
        add_lora(make_model().to(dtype), **SETTINGS, seed=1) for dtype in (torch.float32, torch.bfloat16)
    )
    inputs = []
    for module in low.modules():
        if isinstance(module, LoraLayer):
            module.lora_A["default"].register_forward_pre_hook(lambda _, given: inputs.append(given[0].dtype))
    gradients = []
    for adapted in (exact, low):
        disturb(adapted)
        adapted.train()
        adapted(canvas).logits().float().log_softmax(-1)[..., 5].mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in adapted.parameters() if p.requires_grad]))
    assert set(inputs) == {torch.bfloat16}
    assert gradients[1].dtype == torch.float32
    similarity = torch.cosine_similarity(*gradients, dim=0)
    assert similarity > 0.99
