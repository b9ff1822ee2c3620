"""Each family: transformers' own logits, files that come back bit for bit and in their own layout, a row for [MASK]."""

import json
import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from dopsd.model import (
    CheckpointError,
    add_lora,
    load_adapter,
    load_model,
    load_tokenizer,
    save_merged,
    save_official_adapter,
    save_weights,
)
from dopsd.model.checkpoint import read_config
from dopsd.model.family import FAMILIES
from dopsd.task.answer import END_TOKENS

SHAPE = {
    **{"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4},
    **{"num_key_value_heads": 2, "max_position_embeddings": 64},
}
LLAMA3 = {
    **{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
    "original_max_position_embeddings": 16,
}
KINDS = {
    "llama": lambda **more: LlamaForCausalLM(LlamaConfig(**SHAPE, **more)),
    "llama3": lambda **more: LlamaForCausalLM(
        LlamaConfig(**SHAPE, **more, rope_parameters={"rope_theta": 5e5, **LLAMA3})
    ),
    "qwen2": lambda **more: Qwen2ForCausalLM(Qwen2Config(**SHAPE, **more)),
    "qwen3": lambda **more: Qwen3ForCausalLM(Qwen3Config(**SHAPE, **more, head_dim=12)),
}
"""transformers' own networks, all with grouped key-value heads."""
DLLM = {"qwen2": {"model_type": "Dream"}, "qwen3": {"model_type": "a2d-qwen3"}}
WORDS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "user", "assistant", "hi"]


def write_tokenizer(directory: Path, words: list[str], template: str | None = None) -> None:
    """A tokenizer with these words as its tokens, those in <| |> special."""
    (directory / "chat_template.jinja").unlink(missing_ok=True)
    raw = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="hi"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.add_special_tokens([AddedToken(word, special=True) for word in words if word.startswith("<|")])
    PreTrainedTokenizerFast(tokenizer_object=raw, chat_template=template).save_pretrained(directory)


@pytest.fixture
def write(tmp_path):
    """Writes a tiny checkpoint of a kind, and returns its directory with transformers' network."""

    def of(kind: str, *, rows: int = 16, words: list[str] = WORDS, **more):
        torch.manual_seed(0)
        network = KINDS[kind](vocab_size=rows, **more).eval()
        for (
            name,
            parameter,
        ) in network.named_parameters():  # biases and norms are not all 0 and 1 in trained weights
            if "bias" in name or "norm" in name:
                parameter.data.add_(0.3 * torch.randn_like(parameter))
        network.save_pretrained(tmp_path / "there")
        write_tokenizer(tmp_path / "there", words)
        return tmp_path / "there", network

    return of


def change_config(directory: Path, **fields) -> None:
    file = directory / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.randint(6, (3, 14), generator=torch.Generator().manual_seed(5))


@torch.no_grad()
@pytest.mark.parametrize("arm", ["sdpa", "eager"])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_transformers(kind, tied, arm, write, tokens, left_padding):
    directory, reference = write(kind, tie_word_embeddings=tied)
    model = load_model(directory, attention=arm)
    assert (model.config.visible, model.reading) == ("causal", "next")
    positions = (left_padding.cumsum(1) - 1).clamp(min=0)
    expected = reference(tokens, attention_mask=left_padding.long(), position_ids=positions).logits
    found = model(tokens, left_padding, reading="own").logits()
    torch.testing.assert_close(found[left_padding], expected[left_padding], rtol=0, atol=1e-5)
    before = torch.arange(7, 14).expand(3, -1)  # read as next: what tells the token at c stands at c - 1
    torch.testing.assert_close(
        model(tokens, left_padding, before).logits(), expected[:, 6:13], rtol=0, atol=1e-5
    )


@torch.no_grad()
@pytest.mark.parametrize(("kind", "reading"), [("qwen2", "next"), ("qwen3", "own")])
def test_masked_models_of_these_shapes_see_everything(kind, reading, write, tokens):
    directory, reference = write(kind)
    change_config(directory, **DLLM[kind])
    model = load_model(directory)
    assert (model.config.visible, model.reading) == ("all", reading)
    everything = torch.zeros(3, 1, 14, 14)
    expected = reference(tokens, attention_mask=everything).logits
    torch.testing.assert_close(model(tokens, reading="own").logits(), expected, rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("rows", [16, 6], ids=["a spare row", "a new row"])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_round_trip_is_bit_equal_and_transformers_reads_it(kind, tied, rows, write, tokens, tmp_path):
    directory, reference = write(kind, tie_word_embeddings=tied, rows=rows)
    save_weights(load_model(directory), tmp_path / "first")
    save_weights(load_model(tmp_path / "first"), tmp_path / "second")
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("first", "second"))
    theirs = load_file(directory / "model.safetensors")
    assert first.keys() == second.keys() == theirs.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name])
        assert torch.equal(tensor[: len(theirs[name])], theirs[name])
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "first")
    assert type(again) is type(reference)
    torch.testing.assert_close(again(tokens).logits[..., :rows], reference(tokens).logits, rtol=0, atol=1e-6)
    fields = json.loads((tmp_path / "first" / "config.json").read_text())
    assert fields["architectures"] == [type(reference).__name__]
    assert not {"d_model", "n_heads", "family"} & fields.keys()


@pytest.mark.parametrize("model_type", DLLM["qwen2"].values())
def test_a_masked_model_keeps_its_type(model_type, write, tmp_path):
    directory, _ = write("qwen2")
    change_config(directory, model_type=model_type)
    save_weights(load_model(directory), tmp_path / "again")
    assert json.loads((tmp_path / "again" / "config.json").read_text())["model_type"] == model_type
    assert read_config(tmp_path / "again").to_dict() == read_config(directory).to_dict()


def test_what_was_changed_about_attention_is_saved(write, tmp_path):
    directory, _ = write("llama")
    model = load_model(directory)
    model.config.visible, model.config.block_length, model.config.reading = "block_causal", 4, "own"
    save_weights(model, tmp_path / "again")
    config = load_model(tmp_path / "again").config
    assert (config.visible, config.block_length, config.reading) == ("block_causal", 4, "own")


@torch.no_grad()
@pytest.mark.parametrize("tied", [False, True])
def test_a_new_row_is_the_mean_of_the_others_once_and_is_saved_with_its_token(tied, write, tmp_path, caplog):
    directory, reference = write("llama", rows=6, tie_word_embeddings=tied)
    assert read_config(directory).mask_token_id is None
    with caplog.at_level(logging.WARNING):
        model = load_model(directory)
    assert caplog.messages == ["no row of the embedding is spare: row 6 is new, for [MASK]"]
    assert (model.mask_id, model.config.vocab_size, model.end_ids) == (6, 7, (0, 2))
    embedding, head = model.model.embed_tokens.weight, model.lm_head.weight
    assert (head is embedding) == tied
    for found, before in ((embedding, reference.model.embed_tokens.weight), (head, reference.lm_head.weight)):
        torch.testing.assert_close(found[6], before.mean(0))
        assert torch.equal(found[:6], before)
    assert load_tokenizer(directory).get_vocab()["<|mask|>"] == 6
    save_weights(model, tmp_path / "again")
    caplog.clear()
    assert load_model(tmp_path / "again").mask_id == 6
    assert not caplog.messages
    assert "<|mask|>" in (tmp_path / "again" / "tokenizer.json").read_text()
    assert load_tokenizer(tmp_path / "again").mask_token_id == 6


def test_a_spare_row_and_a_token_that_is_there_are_used(write):
    directory, _ = write("qwen3")
    assert (load_model(directory).mask_id, load_tokenizer(directory).get_vocab()["<|mask|>"]) == (6, 6)
    write_tokenizer(directory, ["<|mask|>", *WORDS])
    assert (load_model(directory).mask_id, load_tokenizer(directory).get_vocab()["<|mask|>"]) == (0, 0)
    change_config(directory, mask_token_id=9)
    with pytest.raises(CheckpointError, match=r"<\|mask\|> is 0 in the tokenizer but mask_token_id=9"):
        load_tokenizer(directory)


def test_the_chat_template_is_the_tokenizers_own_or_the_familys(write):
    directory, _ = write("qwen3")
    chat = [{"role": "user", "content": "hi"}]
    said = load_tokenizer(directory).apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert said == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    own = "{% if enable_thinking is defined and enable_thinking is false %}no thinking{% endif %}"
    write_tokenizer(directory, WORDS, own)
    assert load_tokenizer(directory).apply_chat_template(chat, tokenize=False) == "no thinking"
    words = ["<|end_of_text|>", "<|eot_id|>", "hi"]  # of a Llama 3 that was never taught to chat
    llama, _ = write("llama", words=words)
    with pytest.raises(CheckpointError, match="has no chat template"):
        load_tokenizer(llama)
    assert load_model(llama).end_ids == (0, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_tokenizer_without_the_familys_tokens_is_refused(kind, write):
    directory, _ = write(kind, words=["<|endoftext|>", "hi"])
    for load in (load_model, load_tokenizer):
        with pytest.raises(CheckpointError, match=r"the tokenizer has no <\|im_end\|>") as caught:
            load(directory)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("llama", {"attention_bias": True}, "attention_bias=true is not supported, only false"),
        ("llama", {"hidden_act": "gelu"}, "hidden_act='gelu' is not supported, only 'silu'"),
        ("llama", {"rope_scaling": {"type": "linear", "factor": 2}}, "or rope_type='llama3'"),
        ("llama", {"rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0}}, "or rope_type='llama3'"),
        ("qwen3", {"rope_scaling": {**LLAMA3}}, "rope_scaling="),
        ("qwen3", {"use_sliding_window": True}, "use_sliding_window=true is not supported"),
        ("qwen3", {"head_dim": 7}, "head_dim=7 must be an even number"),
        ("qwen3", {"hidden_size": 0}, "d_model=0"),
        ("qwen2", {"model_type": "qwen2_moe"}, "model_type='qwen2_moe' must be one of llada, Dream"),
    ],
)
def test_another_network_is_refused_in_one_line(kind, fields, said, write):
    directory, _ = write(kind)
    change_config(directory, **fields)
    with pytest.raises(CheckpointError) as caught:
        load_model(directory)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_are_compared_before_they_are_read(kind, write):
    directory, _ = write(kind)
    tensors = load_file(directory / "model.safetensors")
    tensors["model.layers.0.self_attn.sinks"] = torch.zeros(4)
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"1 tensors unexpected: .*self_attn.sinks"):
        load_model(directory)


@torch.no_grad()
def test_shards_are_read(write, tokens):
    directory, reference = write("qwen3")
    (directory / "model.safetensors").unlink()
    reference.save_pretrained(directory, max_shard_size="10KB")
    assert len([*directory.glob("model-*.safetensors")]) > 1
    expected = reference(tokens).logits
    torch.testing.assert_close(
        load_model(directory)(tokens, reading="own").logits(), expected, rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_of_a_published_config_is_known(kind, write, caplog):
    directory, _ = write(kind)
    with caplog.at_level(logging.WARNING):
        load_model(directory)
    assert not caplog.messages


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_adapters_and_merged_weights_have_official_names(kind, write, tokens, tmp_path):
    directory, _ = write(kind)
    adapted = add_lora(load_model(directory), r=2, alpha=4, dropout=0.0)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.normal_(generator=torch.Generator().manual_seed(1))
    expected = adapted(tokens).logits()
    save_weights(adapted, tmp_path / "adapter")
    save_official_adapter(tmp_path / "adapter", tmp_path / "official", base=str(directory))
    keys = load_file(tmp_path / "official" / "adapter_model.safetensors")
    assert "base_model.model.model.layers.1.self_attn.o_proj.lora_A.weight" in keys
    torch.testing.assert_close(
        load_adapter(load_model(directory), tmp_path / "official")(tokens).logits(), expected
    )
    save_merged(adapted.eval(), tmp_path / "merged", official=True)
    torch.testing.assert_close(load_model(tmp_path / "merged")(tokens).logits(), expected, rtol=0, atol=1e-5)


def test_dreams_tokenizer_is_built_from_its_words_and_merges(tmp_path, write):
    directory, _ = write("qwen2", rows=16)
    change_config(directory, model_type="Dream", mask_token_id=9)
    (directory / "tokenizer.json").unlink()
    letters = {letter: number for number, letter in enumerate(["h", "i", "hi", "u", "s", "e"])}
    (directory / "vocab.json").write_text(json.dumps(letters))
    (directory / "merges.txt").write_text("#version: 0.2\nh i\n")
    added = {6: "<|endoftext|>", 7: "<|im_start|>", 8: "<|im_end|>", 9: "<|mask|>"}
    fields = {
        "added_tokens_decoder": {
            str(number): {"content": word, "special": True} for number, word in added.items()
        },
        "tokenizer_class": "DreamTokenizer",
        "auto_map": {"AutoTokenizer": ["tokenization_dream.DreamTokenizer", None]},
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(fields))
    tokenizer, model = load_tokenizer(directory), load_model(directory)
    assert tokenizer.encode("hi<|im_end|>") == [2, 8]
    assert (model.mask_id, model.end_ids) == (9, (6, 8))
    save_weights(model, tmp_path / "again")
    assert load_tokenizer(tmp_path / "again").get_vocab() == tokenizer.get_vocab()


def test_every_family_names_its_parameters(make_model):
    ours = [name for name, _ in make_model().named_parameters()]
    for family in FAMILIES.values():
        assert len({family.official_name(name) for name in ours}) == len(ours)


def test_graders_cut_what_others_generated_at_the_end_tokens_of_every_family() -> None:
    assert {
        token for family in FAMILIES.values() for token in (*family.end_of_text, *family.end_of_turn)
    } == set(END_TOKENS)
