"""A key of config.json that would change the network is refused; one that nobody knows is named."""

import json
import logging

import pytest

from dopsd.model import CheckpointError, LLaDAConfig, load_model
from dopsd.model.checkpoint import TINY_DIRECTORY, linear_shapes, read_config
from dopsd.model.family import LLADA

OF_THE_8B = {
    **LLADA.official,
    **{"architectures": ["LLaDAModelLM"], "auto_map": {"AutoConfig": "configuration_llada.LLaDAConfig"}},
    **{"attention_dropout": 0.0, "d_model": 4096, "embedding_size": 126464, "eos_token_id": 126081},
    **{"mask_token_id": 126336, "max_sequence_length": 4096, "mlp_hidden_size": 12288, "model_type": "llada"},
    **{"n_heads": 32, "n_kv_heads": 32, "n_layers": 32, "pad_token_id": 126081, "rms_norm_eps": 1e-05},
    **{"rope_theta": 500000.0, "transformers_version": "4.46.3", "use_cache": False, "vocab_size": 126464},
    **{"weight_tying": False},
}


@pytest.fixture
def written(tmp_path):
    def write(**fields):
        (tmp_path / "config.json").write_text(json.dumps(OF_THE_8B | fields))
        return tmp_path

    return write


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"rope_scaling": None, "clip_qkv": None},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}},
        {"mlp_hidden_size": None, "mlp_ratio": 3},
        {"weight_tying": True},
        {"multi_query_attention": False, "head_dim": 128},
    ],
)
def test_what_changes_nothing_passes(fields, written) -> None:
    config = read_config(written(**fields))
    assert linear_shapes(config)["model.layers.31.mlp.up_proj"] == (12288, 4096)


@pytest.mark.filterwarnings("ignore:`rope_scaling` is deprecated")
@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("rope_scaling", {"type": "linear", "factor": 2}, "rope_scaling={'type': 'linear', 'factor': 2}"),
        ("rope_scaling", {"rope_type": "llama3", "factor": 8.0}, "only null"),
        ("rope_parameters", {"rope_theta": 10000.0}, "rope_theta=500000.0"),
        ("clip_qkv", 8.0, "clip_qkv=8.0 is not supported, only null"),
        ("multi_query_attention", True, "multi_query_attention=true is not supported, only null or false"),
        ("alibi", True, "alibi=true is not supported, only false"),
        ("attention_bias", True, "include_qkv_bias=true"),
        ("include_bias", True, "include_bias=true"),
        ("layer_norm_type", "default", "layer_norm_type='default'"),
        ("layer_norm_with_affine", False, "layer_norm_with_affine=false"),
        ("activation_type", "swiglu", "activation_type='swiglu'"),
        ("hidden_act", "gelu", "activation_type='gelu'"),
        ("block_type", "sequential", "block_type='sequential'"),
        ("rope", False, "rope=false"),
        ("attention_layer_norm", True, "attention_layer_norm=true"),
        ("residual_dropout", 0.1, "residual_dropout=0.1 is not supported, only 0.0"),
        ("sliding_window", 128, "sliding_window=128"),
        ("head_dim", 64, "head_dim=64"),
        ("n_heads", 0, "n_heads=0"),
        ("rope_theta", None, "rope_theta=None"),
    ],
)
def test_what_changes_the_network_is_refused(key, value, said, written) -> None:
    with pytest.raises(CheckpointError) as caught:
        read_config(written(**{key: value}))
    assert said in str(caught.value)
    assert "config.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_key_that_is_written_is_known(tmp_path, caplog) -> None:
    load_model("tiny").save_pretrained(tmp_path)
    with caplog.at_level(logging.WARNING):
        load_model(tmp_path)
    assert not caplog.messages


def test_an_unknown_key_is_named(tmp_path, caplog) -> None:
    fields = json.loads((TINY_DIRECTORY / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(fields | {"spin": 0.5}))
    with caplog.at_level(logging.WARNING):
        load_model(tmp_path, init="random")
    [message] = caplog.messages
    assert message.endswith("not known and not read: spin")


def test_the_published_constants_are_the_classes_own() -> None:
    assert LLaDAConfig.from_dict(OF_THE_8B).d_model == LLaDAConfig().d_model
