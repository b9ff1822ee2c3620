"""Dream, masked, and Qwen2 (Qwen2.5), the autoregressive model that it was made of: biases on q, k and v."""

from dataclasses import replace

from dopsd.model.family.qwen3 import QWEN3

_CODE = "Dream-org/Dream-v0-Instruct-7B--"

QWEN2 = replace(
    QWEN3,
    name="qwen2",
    fixed={**QWEN3.fixed, "attention_bias": (True,), "use_mrope": (False,)},
    without_effect=f"{QWEN3.without_effect} attention_bias full_attn_mask",
    network={**QWEN3.network, "qk_norm": False, "include_qkv_bias": True},
    architecture="Qwen2ForCausalLM",
    before_template="",
)
DREAM = replace(
    QWEN2,
    name="Dream",
    network={**QWEN2.network, "visible": "all"},  # read at the column before, as Qwen2 is
    architecture="DreamModel",
    official={
        "auto_map": {
            "AutoConfig": f"{_CODE}configuration_dream.DreamConfig",
            "AutoModel": f"{_CODE}modeling_dream.DreamModel",
        },
    },
)
