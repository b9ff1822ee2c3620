"""The keys of a config.json that this network does not read: with which values they leave a LLaDA what it is."""

from collections.abc import Collection, Mapping
from typing import Any

HARMLESS: Mapping[str, tuple] = {
    "activation_type": ("silu",),
    "alibi": (False,),
    "attention_layer_norm": (False,),
    "attn_logit_softcapping": (None,),
    "bias_for_layer_norm": (False, None),
    "block_group_size": (1,),
    "block_type": ("llama",),
    "clip_qkv": (None,),
    "embedding_dropout": (0.0,),
    "embedding_layer_norm": (False,),
    "final_logit_softcapping": (None,),
    "include_bias": (False,),
    "include_qkv_bias": (False,),
    "input_emb_norm": (False,),
    "is_causal": (False,),
    "layer_norm_type": ("rms",),
    "layer_norm_with_affine": (True,),
    "logit_scale": (1.0, None),
    "multi_query_attention": (None, False),
    "norm_after": (False,),
    "partial_rotary_factor": (1.0,),
    "qk_norm": (False,),
    "quantization_config": (None,),
    "residual_dropout": (0.0,),
    "rope": (True,),
    "rope_full_precision": (True,),
    "scale_logits": (False,),
    "sliding_window": (None,),
    "use_qk_norm": (False,),
    "use_sliding_window": (False, None),
}
"""Keys that change the network, with the values of a LLaDA; the first is that of the published config.json."""

PUBLISHED: Mapping[str, Any] = {
    **{
        key: HARMLESS[key][0]
        for key in (
            *("activation_type", "alibi", "attention_layer_norm", "bias_for_layer_norm", "block_group_size"),
            *("block_type", "embedding_dropout", "include_bias", "include_qkv_bias", "input_emb_norm"),
            *(
                "layer_norm_type",
                "layer_norm_with_affine",
                "multi_query_attention",
                "residual_dropout",
                "rope",
            ),
            *("rope_full_precision", "scale_logits"),
        )
    },
    **{"alibi_bias_max": 8.0, "attention_layer_norm_with_affine": True, "flash_attention": False},
    **{"init_cutoff_factor": None, "init_device": "meta", "init_fn": "mitchell", "init_std": 0.02},
    **{"mlp_ratio": 4, "precision": "amp_bf16"},
}
"""What LLaDA's own code must be told, for its defaults are another network's."""

WITHOUT_EFFECT = (
    "alibi_bias_max architectures attention_layer_norm_with_affine auto_map bos_token_id dtype flash_attention "
    "head_dim init_cutoff_factor init_device init_fn init_std initializer_range mlp_ratio model_type precision "
    "pretraining_tp rope_parameters rope_scaling torch_dtype transformers_version _name_or_path "
    "chunk_size_feed_forward id2label is_encoder_decoder label2id output_attentions output_hidden_states problem_type "
    "return_dict"
)
"""Keys whose value says nothing, or (head_dim, rope_*) is compared with what else the config says."""


def refuse_another_network(values: Mapping[str, Any]) -> None:
    """Raises ValueError for a value with which a key makes another network."""
    for key in HARMLESS.keys() & values.keys():
        if values[key] not in HARMLESS[key]:
            allowed = " or ".join(map(in_json, HARMLESS[key]))
            raise ValueError(f"LLaDA config: {key}={in_json(values[key])} is not supported, only {allowed}")


def unknown(keys: Collection[str], read: Collection[str]) -> list[str]:
    """The keys of which nothing is known, beside those that are read."""
    return sorted(set(keys) - set(read) - HARMLESS.keys() - set(WITHOUT_EFFECT.split()))


def in_json(value: object) -> str:
    """A value as it stands in the file."""
    return {"None": "null", "True": "true", "False": "false"}.get(str(value), repr(value))
