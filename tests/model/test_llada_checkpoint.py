"""Official files: what is written is read back bit for bit, and what does not fit is refused."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from dopsd.model import CheckpointError, load_model, save_weights
from dopsd.model.checkpoint import TINY_DIRECTORY, is_hub_id
from dopsd.model.family import LLADA
from dopsd.model.names import in_memory_name


@pytest.fixture
def saved(model, tmp_path):
    save_weights(model, tmp_path / "llada")
    return tmp_path / "llada"


@torch.no_grad()
def test_a_round_trip_is_bit_equal(model, saved, tmp_path, canvas, left_padding):
    first = load_model(saved)
    save_weights(first, tmp_path / "again")
    second = load_model(tmp_path / "again")
    for mask in (None, left_padding):
        assert torch.equal(first(canvas, mask).logits(), model(canvas, mask).logits())
        assert torch.equal(second(canvas, mask).logits(), model(canvas, mask).logits())
    assert not first.training


def test_names_and_fields_on_disk_are_the_official_ones(model, saved):
    names = set(load_file(saved / "model.safetensors"))
    outside = {f"model.transformer.{part}.weight" for part in ("wte", "ln_f", "ff_out")}
    parts = ("attn_norm", "q_proj", "k_proj", "v_proj", "attn_out", "ff_norm", "ff_proj", "up_proj", "ff_out")
    inside = {f"model.transformer.blocks.{layer}.{part}.weight" for layer in range(2) for part in parts}
    assert names == outside | inside
    fields = json.loads((saved / "config.json").read_text())
    assert fields["model_type"] == "llada"
    assert fields["d_model"] == 32
    assert fields["n_kv_heads"] == model.config.n_kv_heads
    assert "hidden_size" not in fields


def test_the_name_map_goes_both_ways(model):
    for name, _ in model.named_parameters():
        assert in_memory_name(LLADA.official_name(name)) == name
        assert in_memory_name(name) == name


@torch.no_grad()
def test_a_sharded_checkpoint_is_read(model, saved, canvas):
    tensors = load_file(saved / "model.safetensors")
    (saved / "model.safetensors").unlink()
    weight_map = {}
    for shard in range(2):
        part = dict(sorted(tensors.items())[shard::2])
        save_file(part, saved / f"model-{shard}.safetensors", metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, f"model-{shard}.safetensors")
    index = {"metadata": {}, "weight_map": weight_map}
    (saved / "model.safetensors.index.json").write_text(json.dumps(index))
    assert torch.equal(load_model(saved)(canvas).logits(), model(canvas).logits())
    (saved / "model-1.safetensors").unlink()
    refused(saved, "model-1.safetensors")


@torch.no_grad()
def test_tied_weights_round_trip(make_model, tmp_path, canvas):
    tied = make_model(weight_tying=True)
    save_weights(tied, tmp_path / "tied")
    assert "model.transformer.ff_out.weight" not in load_file(tmp_path / "tied" / "model.safetensors")
    assert torch.equal(load_model(tmp_path / "tied")(canvas).logits(), tied(canvas).logits())


def test_saving_over_a_checkpoint_leaves_only_the_new_one_and_strangers(model, saved):
    (saved / "model-00001-of-00002.safetensors").write_text("stale shard")
    (saved / "tokenizer.json").write_text("{}")
    save_weights(model, saved)
    assert {f.name for f in saved.iterdir()} == {"config.json", "model.safetensors", "tokenizer.json"}
    assert [f.name for f in saved.parent.iterdir()] == ["llada"]  # no temporary left behind


def rewrite(directory, change):
    tensors = load_file(directory / "model.safetensors")
    change(tensors)
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})


def refused(directory, *said, **options):
    with pytest.raises(CheckpointError) as caught:
        load_model(directory, **options)
    assert "\n" not in str(caught.value)
    for words in said:
        assert words in str(caught.value)


def test_a_missing_tensor_is_refused(saved):
    rewrite(saved, lambda tensors: tensors.pop("model.transformer.blocks.1.ff_out.weight"))
    refused(saved, "missing", "blocks.1.ff_out.weight")


def test_an_unexpected_tensor_is_refused(saved):
    rewrite(saved, lambda tensors: tensors.update({"model.transformer.wpe.weight": torch.zeros(2)}))
    refused(saved, "unexpected", "wpe.weight")


def test_a_tensor_of_another_shape_is_refused(saved):
    rewrite(saved, lambda tensors: tensors.update({"model.transformer.ln_f.weight": torch.zeros(31)}))
    refused(saved, "shape", "ln_f.weight")


def test_a_truncated_file_is_refused(saved):
    whole = (saved / "model.safetensors").read_bytes()
    for length in (0, 4, 100, len(whole) - 1):
        (saved / "model.safetensors").write_bytes(whole[:length])
        refused(saved, "model.safetensors", "download")


def test_missing_weights_say_what_to_do(saved):
    (saved / "model.safetensors").unlink()
    refused(saved, "no weights", "download", "tiny")
    assert load_model(saved, init="random").config.d_model == 32  # its config is enough for that


def test_a_broken_config_is_refused(saved):
    (saved / "config.json").write_text("{")
    refused(saved, "config.json")
    (saved / "config.json").write_text('{"model_type": "gpt2"}')
    refused(saved, "gpt2", "must be one of llada, Dream, qwen2, qwen3, a2d-qwen3, llama")
    (saved / "config.json").write_text('{"model_type": "llama"}')
    refused(saved, "hidden_size is missing")
    (saved / "config.json").unlink()
    refused(saved, "config.json is missing", "tiny")


@pytest.mark.parametrize("path", ["/no/such/directory", "no/such/directory", "../nowhere", "Tiny", ""])
def test_a_missing_directory_says_what_to_do(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inside").mkdir()
    refused(path or str(tmp_path / "absent"), "no such model directory", "download", "tiny")


def test_what_is_looked_up_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "here" / "model").mkdir(parents=True)
    assert is_hub_id("GSAI-ML/LLaDA-8B-Instruct")
    for path in ("tiny", "here/model", "~/here", "./a", "../a", "/a/b", "a b/c", "a/b/c", "a/b/", ""):
        assert not is_hub_id(path), path


def test_a_hub_that_does_not_answer_is_one_line(monkeypatch):
    def no_network(*_, **__):
        raise OSError("no route to host\nand a long explanation")

    monkeypatch.setattr("huggingface_hub.snapshot_download", no_network)
    refused("someone/llada", "someone/llada", "no route to host", "download", "tiny")


@torch.no_grad()
def test_random_weights_follow_from_the_seed_and_nothing_else(canvas):
    state = torch.random.get_rng_state()
    first = load_model("tiny", init="random", seed=3)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(99)
    same, other = load_model("tiny", init="random", seed=3), load_model("tiny", init="random", seed=4)
    assert torch.equal(first(canvas).logits(), same(canvas).logits())
    assert not torch.equal(first(canvas).logits(), other(canvas).logits())


def test_random_weights_start_near_a_uniform_guess(canvas):
    logits = load_model("tiny", init="random")(canvas).logits()
    assert 0.3 < logits.std().item() < 3


def test_the_dtype_is_the_one_asked_for(saved, canvas):
    model = load_model(saved, dtype="bfloat16")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert model(canvas).logits().dtype == torch.bfloat16
    assert load_model(saved, dtype="bfloat16", init="random").dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("option", "value"),
    [("dtype", "int8"), ("attention", "flash"), ("init", "zeros"), ("quantization", "int3")],
)
def test_an_unknown_option_names_the_allowed_ones(option, value):
    with pytest.raises(ValueError, match=f"{option}='{value}' must be one of"):
        load_model("tiny", **{option: value})


@torch.no_grad()
def test_the_attention_arms_agree(saved, canvas, left_padding):
    sdpa, eager = load_model(saved), load_model(saved, attention="eager")
    torch.testing.assert_close(sdpa(canvas).logits(), eager(canvas).logits(), rtol=0, atol=1e-5)
    a, b = sdpa(canvas, left_padding).logits(), eager(canvas, left_padding).logits()
    torch.testing.assert_close(a[left_padding], b[left_padding], rtol=0, atol=1e-5)


def test_no_code_from_a_checkpoint_is_run(saved, tmp_path):
    fields = json.loads((saved / "config.json").read_text())
    fields["auto_map"] = {"AutoConfig": "trap.Config", "AutoModel": "trap.Model"}
    (saved / "config.json").write_text(json.dumps(fields))
    (saved / "trap.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\nraise SystemExit\n")
    load_model(saved)
    assert not (tmp_path / "sprung").exists()


def test_the_embedded_config_is_whole(tmp_path):
    shutil.copy(TINY_DIRECTORY / "config.json", tmp_path)
    model = load_model(tmp_path, init="random")
    assert sum(parameter.numel() for parameter in model.parameters()) < 1_000_000
    assert model.end_ids == (1, 2)
