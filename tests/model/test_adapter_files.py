"""Adapters from elsewhere: whatever their keys are called they find their layers, or one line says what is there."""

import json
import stat
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from dopsd.model import (
    CheckpointError,
    add_lora,
    initial_network,
    load_adapter,
    load_model,
    sampling,
    save_merged,
    save_official_adapter,
    save_weights,
)
from dopsd.model.family import LLADA

PREFIX = "base_model.model."


@pytest.fixture
def adapted(make_model):
    adapted = add_lora(make_model(), r=4, alpha=8.0, dropout=0.0, seed=1)
    generator = torch.Generator().manual_seed(2)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return adapted


@pytest.fixture
def directory(adapted, tmp_path) -> Path:
    save_weights(adapted, tmp_path / "adapter")
    return tmp_path / "adapter"


def edit(directory, rename=lambda key: key, keep=lambda key: True, **fields):
    file = directory / "adapter_model.safetensors"
    save_file({rename(key): t for key, t in load_file(file).items() if keep(key)}, file)
    config = json.loads((directory / "adapter_config.json").read_text())
    (directory / "adapter_config.json").write_text(json.dumps(config | fields))


def official(key: str) -> str:
    layer, _, rest = key.removeprefix(PREFIX).partition(".lora_")
    return f"{PREFIX}{LLADA.official_name(f'{layer}.weight').removesuffix('.weight')}.lora_{rest}"


@torch.no_grad()
@pytest.mark.parametrize(
    "rename",
    [
        lambda key: key,
        official,
        lambda key: key.replace(".weight", ".default.weight"),
        lambda key: official(key).replace(".weight", ".default.weight"),
        lambda key: key.removeprefix(PREFIX),
        lambda key: official(key).removeprefix(PREFIX),
        lambda key: key.removeprefix(f"{PREFIX}model."),
        lambda key: official(key).removeprefix(f"{PREFIX}model."),
        lambda key: key.replace(PREFIX, f"{PREFIX}model."),
    ],
)
def test_an_adapter_finds_its_layers_whatever_they_are_called(
    rename, make_model, adapted, directory, canvas
) -> None:
    edit(directory, rename, task_type="CAUSAL_LM", target_modules=["attn_out"])
    assert torch.equal(load_adapter(make_model(), directory)(canvas).logits(), adapted(canvas).logits())


@torch.no_grad()
@pytest.mark.parametrize("part", ["layers.1.", "q_proj", "layers.0.mlp.down_proj"])
def test_an_adapter_may_have_some_layers_only(part, make_model, adapted, directory, canvas) -> None:
    edit(directory, keep=lambda key: part in key)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name and part not in name:
            parameter.zero_()
    loaded = load_adapter(make_model(), directory)
    torch.testing.assert_close(loaded(canvas).logits(), adapted(canvas).logits(), rtol=0, atol=1e-6)
    save_weights(loaded, directory.parent / "again")
    first, again = (
        load_file(place / "adapter_model.safetensors") for place in (directory, directory.parent / "again")
    )
    assert first.keys() == again.keys()


@torch.no_grad()
def test_a_rank_stabilised_adapter_keeps_its_scale(make_model, adapted, directory, canvas) -> None:
    edit(directory, use_rslora=True, lora_alpha=4.0)  # 4 / sqrt(4) = 8 / 4
    torch.testing.assert_close(
        load_adapter(make_model(), directory)(canvas).logits(), adapted(canvas).logits()
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("use_dora", True),
        ("bias", "all"),
        ("modules_to_save", ["lm_head"]),
        ("rank_pattern", {"q_proj": 8}),
        ("alpha_pattern", {"q_proj": 8}),
        ("fan_in_fan_out", True),
        ("init_lora_weights", "pissa"),
        ("layer_replication", [[0, 1]]),
        ("lora_bias", True),
        ("peft_type", "IA3"),
        ("something_new", {"on": True}),
        ("r", 0),
        ("r", "4"),
        ("lora_alpha", None),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(key, value, make_model, directory) -> None:
    edit(directory, **{key: value})
    refused(make_model(), directory, f"{key}=")


def refused(model, directory, *said) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_adapter(model, directory)
    assert "\n" not in str(caught.value)
    for words in (str(directory), *said):
        assert words in str(caught.value)
    assert not any("lora_" in name for name, _ in model.named_parameters())


def test_keys_without_a_place_are_counted_and_shown(make_model, directory) -> None:
    edit(directory, lambda key: key.replace("layers.1.mlp.up_proj", "layers.7.mlp.up_proj"))
    refused(make_model(), directory, "2 of 28 tensors", "layers.7.mlp.up_proj", "14 linear layers", "q_proj")


def test_two_adapters_in_one_file_are_refused(make_model, directory) -> None:
    file = directory / "adapter_model.safetensors"
    tensors = load_file(file)
    save_file(tensors | {key.replace(".weight", ".b.weight"): t.clone() for key, t in tensors.items()}, file)
    refused(make_model(), directory, "two adapters")


def test_another_rank_than_it_says_is_refused(make_model, directory) -> None:
    edit(directory, r=8)
    refused(make_model(), directory, "shape", "r=8")


def test_what_is_saved_opens_in_plain_peft(make_model, adapted, directory) -> None:
    base = LlamaForCausalLM(
        LlamaConfig(
            hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, vocab_size=64
        )
    )
    opened(PeftModel.from_pretrained(base, str(directory)), adapted, lambda key: key)


def test_an_adapter_is_exported_for_the_official_modules(make_model, adapted, directory, canvas) -> None:
    """The head is called ff_out like a part of each layer, and gets no adapter."""
    save_official_adapter(directory, directory.parent / "official", base="tiny")
    peft = PeftModel.from_pretrained(OfficialModules(), str(directory.parent / "official"))
    assert not any("lora_" in name for name, _ in peft.named_parameters() if "blocks" not in name)
    opened(peft, adapted, official)
    with torch.no_grad():
        again = load_adapter(make_model(), directory.parent / "official")
        assert torch.equal(again(canvas).logits(), adapted(canvas).logits())


class OfficialModules(nn.Module):
    """The linear layers of LLaDA's own code, by their names there."""

    def __init__(self):
        super().__init__()
        sizes = {"ff_proj": (32, 48), "up_proj": (32, 48), "ff_out": (48, 32)}
        attention = dict.fromkeys(("q_proj", "k_proj", "v_proj", "attn_out"), (32, 32))

        def block() -> nn.ModuleDict:
            return nn.ModuleDict({name: nn.Linear(*s, bias=False) for name, s in (attention | sizes).items()})

        transformer = {"blocks": nn.ModuleList(block() for _ in range(2)), "ff_out": nn.Linear(32, 64)}
        self.model = nn.ModuleDict({"transformer": nn.ModuleDict(transformer)})


def opened(peft: nn.Module, adapted: nn.Module, rename) -> None:
    ours, theirs = (
        {name: p for name, p in model.named_parameters() if "lora_" in name} for model in (adapted, peft)
    )
    assert {rename(name) for name in ours} == theirs.keys()
    assert all(torch.equal(tensor, theirs[rename(name)]) for name, tensor in ours.items())


def test_files_can_be_read_by_others_and_name_no_place_on_this_machine(tmp_path) -> None:
    save_weights(load_model("tiny", init="random"), tmp_path / "llada")
    model = load_model(tmp_path / "llada")
    save_weights(add_lora(model, r=2, alpha=4, dropout=0.0), tmp_path / "adapter")
    for file in (*(tmp_path / "llada").iterdir(), *(tmp_path / "adapter").iterdir()):
        assert stat.S_IMODE(file.stat().st_mode) == 0o644, file
        if file.suffix == ".json":
            assert str(tmp_path) not in file.read_text()
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "llada"
    assert (tmp_path / "llada" / "tokenizer.json").is_file()


@torch.no_grad()
@pytest.mark.parametrize("is_official", [False, True])
def test_folding_an_adapter_in_changes_no_logit(is_official, make_model, adapted, tmp_path, canvas) -> None:
    with sampling(adapted) as as_it_is_evaluated:
        expected = as_it_is_evaluated(canvas).logits()
    apart = adapted(canvas).logits()
    save_merged(adapted, tmp_path / "out", official=is_official)
    again = load_model(tmp_path / "out")(canvas).logits()
    torch.testing.assert_close(again, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(again, apart, rtol=0, atol=1e-5)


@torch.no_grad()
def test_an_untrained_model_passes_through_the_official_form_bit_for_bit(
    make_model, tmp_path, canvas
) -> None:
    model = make_model()
    save_merged(model, tmp_path / "out", official=True)
    assert torch.equal(load_model(tmp_path / "out")(canvas).logits(), model(canvas).logits())
    fields = json.loads((tmp_path / "out" / "config.json").read_text())
    assert fields["architectures"] == ["LLaDAModelLM"]
    told = {
        "rope": True,
        "block_type": "llama",
        "layer_norm_type": "rms",
        "residual_dropout": 0.0,
        "d_model": 32,
    }
    assert told.items() <= fields.items()


@torch.no_grad()
def test_the_first_weights_are_those_of_a_loaded_adapter(make_model, directory, canvas) -> None:
    """A fixed teacher equals the student before the first step, stays, and leaves the student as it is."""
    student = load_adapter(make_model(), directory)
    (lend, _), first = initial_network(student), student(canvas).logits()
    with lend() as teacher:
        assert torch.equal(teacher(canvas).logits(), first)
    for name, parameter in student.named_parameters():
        if "lora_" in name:
            parameter.add_(0.1)
    later = student(canvas).logits()
    for _ in range(2):
        with lend() as teacher:
            assert torch.equal(teacher(canvas).logits(), first)
        assert torch.equal(student(canvas).logits(), later)
    assert not torch.equal(first, later)
