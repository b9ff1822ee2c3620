"""LLaDA-8B, LLaDA-1.5 and what was made of them; the embedded model too."""

from dopsd.model.family.family import Family

_CODE = "GSAI-ML/LLaDA-8B-Instruct--"
_FIXED = {
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
_PUBLISHED = (
    "activation_type alibi attention_layer_norm bias_for_layer_norm block_group_size block_type embedding_dropout "
    "include_bias include_qkv_bias input_emb_norm layer_norm_type layer_norm_with_affine multi_query_attention "
    "residual_dropout rope rope_full_precision scale_logits"
)

LLADA = Family(
    name="llada",
    fixed=_FIXED,
    without_effect=(
        "alibi_bias_max architectures attention_layer_norm_with_affine auto_map bos_token_id dtype flash_attention "
        "init_cutoff_factor init_device init_fn init_std initializer_range model_type precision pretraining_tp "
        "torch_dtype transformers_version _name_or_path chunk_size_feed_forward id2label is_encoder_decoder label2id "
        "output_attentions output_hidden_states problem_type return_dict"
    ),
    compared="head_dim mlp_ratio rope_parameters rope_scaling",
    network={"visible": "all", "block_length": None, "reading": "own", "qk_norm": False, "rope_llama3": None},
    official={
        **{key: _FIXED[key][0] for key in _PUBLISHED.split()},
        **{"alibi_bias_max": 8.0, "attention_layer_norm_with_affine": True, "flash_attention": False},
        **{"init_cutoff_factor": None, "init_device": "meta", "init_fn": "mitchell", "init_std": 0.02},
        **{"mlp_ratio": 4, "precision": "amp_bf16"},
        "auto_map": {
            "AutoConfig": f"{_CODE}configuration_llada.LLaDAConfig",
            "AutoModel": f"{_CODE}modeling_llada.LLaDAModelLM",
            "AutoModelForCausalLM": f"{_CODE}modeling_llada.LLaDAModelLM",
        },
    },
    architecture="LLaDAModelLM",
    layers="model.transformer.blocks",
    outside_layers={
        "model.transformer.wte": "model.embed_tokens",
        "model.transformer.ln_f": "model.norm",
        "model.transformer.ff_out": "lm_head",
    },
    in_layer={
        "attn_norm": "input_layernorm",
        "q_proj": "self_attn.q_proj",
        "k_proj": "self_attn.k_proj",
        "v_proj": "self_attn.v_proj",
        "attn_out": "self_attn.o_proj",
        "ff_norm": "post_attention_layernorm",
        "ff_proj": "mlp.gate_proj",
        "up_proj": "mlp.up_proj",
        "ff_out": "mlp.down_proj",
    },
    ids_in_config=True,
    mask="<|mdm_mask|>",
    end_of_text=("<|endoftext|>",),
    end_of_turn=("<|eot_id|>",),
)
