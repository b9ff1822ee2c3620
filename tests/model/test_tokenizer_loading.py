"""The tokenizer beside a model: it has a chat template and means the same special tokens."""

import json

import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from dopsd.model import CheckpointError, load_tokenizer
from dopsd.model.checkpoint import TINY_DIRECTORY

SPECIAL = ["<|startoftext|>", "<|endoftext|>", "<|eot_id|>", "<|mdm_mask|>"]
TEMPLATE = "{% for m in messages %}{{ m['role'] }} {{ m['content'] }}<|eot_id|>{% endfor %}"


@pytest.fixture
def directory(tmp_path):
    raw = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate([*SPECIAL, "user", "hi"])}, unk_token="hi")
    )
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="<|endoftext|>", pad_token="<|endoftext|>", chat_template=TEMPLATE
    )
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text((TINY_DIRECTORY / "config.json").read_text())
    return tmp_path


def test_prompts_go_through_the_chat_template_and_are_padded_on_the_left(directory):
    tokenizer = load_tokenizer(directory)
    chat = [{"role": "user", "content": "hi"}]
    ids = tokenizer.apply_chat_template(chat, tokenize=True, return_dict=False)
    assert ids == [4, 5, 2]
    padded = tokenizer(["hi", "hi hi"], padding=True)["input_ids"]
    assert padded == [[1, 5], [5, 5]]


def refused(directory, *said):
    with pytest.raises(CheckpointError) as caught:
        load_tokenizer(directory)
    assert "\n" not in str(caught.value)
    for words in said:
        assert words in str(caught.value)


def test_a_mask_token_the_model_does_not_share_is_refused(directory):
    fields = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**fields, "mask_token_id": 7}))
    refused(directory, "<|mdm_mask|>", "3", "mask_token_id=7")


def test_a_tokenizer_larger_than_the_embedding_is_refused(directory):
    fields = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**fields, "vocab_size": 5, "embedding_size": 5}))
    refused(directory, "6 tokens", "embedding_size=5")


def test_no_chat_template_is_refused(directory):
    for file in directory.glob("*.jinja"):
        file.unlink()
    config = json.loads((directory / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    refused(directory, "chat template")


def test_absent_or_damaged_files_are_refused(directory):
    (directory / "tokenizer.json").write_text("{")
    refused(directory, "cannot read the tokenizer")
    (directory / "tokenizer.json").unlink()
    refused(directory, "no tokenizer.json", "tiny")
    refused(directory / "absent", "no such model directory")
