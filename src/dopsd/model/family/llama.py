"""Llama and SmolLM2: autoregressive; positions may be stretched as in Llama 3.1."""

from dopsd.model.family.family import TRANSFORMERS_FIELDS, Family

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

LLAMA = Family(
    name="llama",
    fields={**TRANSFORMERS_FIELDS, "vocab_size": "vocab_size"},
    fixed={
        "hidden_act": ("silu",),
        "attention_bias": (False,),
        "mlp_bias": (False,),
        "partial_rotary_factor": (1.0, None),
        "quantization_config": (None,),
        "rope_interleaved": (False,),
    },
    without_effect=(
        "architectures auto_map bos_token_id dtype initializer_range is_llama_config model_type pad_token_id "
        "pretraining_tp torch_dtype transformers.js_config transformers_version unk_token_id use_cache "
        "_name_or_path _model_name_or_path "
        "chunk_size_feed_forward id2label is_encoder_decoder label2id output_attentions output_hidden_states "
        "problem_type return_dict"
    ),
    compared="embedding_size rope_parameters rope_scaling",
    network={
        **{"visible": "causal", "block_length": None, "reading": "next"},
        **{"include_qkv_bias": False, "include_bias": False, "activation_type": "silu", "use_cache": False},
        **{"n_kv_heads": None, "weight_tying": False, "rms_norm_eps": 1e-6, "rope_theta": 10000.0},
        **{"qk_norm": False, "rope_llama3": None},
    },
    stretches_positions=True,
    architecture="LlamaForCausalLM",
    mask="<|mask|>",
    end_of_text=("<|endoftext|>", "<|end_of_text|>"),
    end_of_turn=("<|im_end|>", "<|eot_id|>"),
    chat_template=CHATML,
)
