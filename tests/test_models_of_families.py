"""Commands with random checkpoints of other families, as transformers writes them, and the embedded tokenizer."""

import json
from pathlib import Path

import pytest
from command_line import QUICK, read_json, run
from transformers import Qwen3Config, Qwen3ForCausalLM

from dopsd.model.checkpoint import TINY_DIRECTORY

NAMES = {"<|eot_id|>": "<|im_end|>", "<|mdm_mask|>": "<|mask|>"}


def qwen3(directory: Path, **fields: object) -> str:
    """The override that names a Qwen3 in the directory, which is made."""
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ends = {"head_dim": 12, "num_key_value_heads": 1, "vocab_size": 512, "max_position_embeddings": 512}
    Qwen3ForCausalLM(Qwen3Config(**shape, **ends, tie_word_embeddings=True)).save_pretrained(directory)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (TINY_DIRECTORY / name).read_text()
        for theirs, ours in NAMES.items():
            text = text.replace(theirs, ours)
        (directory / name).write_text(text)
    config = directory / "config.json"
    config.write_text(json.dumps(read_json(config) | fields))
    return f"model.path={directory}"


def test_a_causal_checkpoint_under_a_masked_method_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = run(capsys, "train", *QUICK, qwen3(tmp_path / "model"), f"hydra.run.dir={tmp_path / 'run'}")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "visible=causal: method=dopsd trains visible=all or block_causal" in ran.err


def test_a_tokenizer_without_the_familys_tokens_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = qwen3(tmp_path / "model", model_type="a2d-qwen3")
    file = tmp_path / "model" / "tokenizer.json"
    file.write_text(file.read_text().replace("<|im_end|>", "<|eot_id|>"))
    ran = run(capsys, "train", *QUICK, named, f"hydra.run.dir={tmp_path / 'run'}")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "the tokenizer has no <|im_end|>" in ran.err


def test_a_causal_checkpoint_is_evaluated_token_by_token(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, where = qwen3(tmp_path / "model"), f"hydra.run.dir={tmp_path / 'run'}"
    one = ("gen_length=8", "block_length=1", "denoising_steps=8", "eval_limit=2")
    ran = run(capsys, "evaluate", *one, model, where)
    assert ran.code == 0, ran.err
    assert read_json(tmp_path / "run" / "evaluation.json")["rows"][0]["n"] == 2


def test_a_masked_one_is_trained_and_its_weights_come_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = qwen3(tmp_path / "model", model_type="a2d-qwen3", surprise=1)
    where = f"hydra.run.dir={tmp_path / 'run'}"
    ran = run(capsys, "train", *QUICK, "lora=none", model, where)
    assert ran.code == 0, ran.err
    assert "config.json: not known and not read: surprise" in (tmp_path / "run" / "train.log").read_text()
    best = tmp_path / "run" / "weights" / "best"
    fields = read_json(best / "config.json")
    assert (fields["model_type"], fields["head_dim"], fields["tie_word_embeddings"]) == (
        "a2d-qwen3",
        12,
        True,
    )
    assert (best / "tokenizer.json").read_text() == (tmp_path / "model" / "tokenizer.json").read_text()
    again = run(
        capsys,
        "evaluate",
        f"checkpoint={tmp_path / 'run'}",
        "eval_limit=2",
        f"hydra.run.dir={tmp_path / 'e'}",
    )
    assert again.code == 0, again.err


def test_an_unknown_kind_is_refused_with_those_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = qwen3(tmp_path / "model", model_type="mamba")
    ran = run(capsys, "train", *QUICK, named, f"hydra.run.dir={tmp_path / 'run'}")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "model_type='mamba' must be one of llada, Dream, qwen2, qwen3, a2d-qwen3, llama" in ran.err
