"""Qwen3, autoregressive, and what dLLM made of it: masked (mdlm, bd3lm) under a model_type of its own."""

from dataclasses import replace

from dopsd.model.family.llama import LLAMA

QWEN3 = replace(
    LLAMA,
    name="qwen3",
    fixed={**LLAMA.fixed, "use_sliding_window": (False, None)},
    without_effect=f"{LLAMA.without_effect} layer_types max_window_layers sliding_window",
    network={**LLAMA.network, "qk_norm": True},
    stretches_positions=False,
    architecture="Qwen3ForCausalLM",
    end_of_text=("<|endoftext|>",),
    end_of_turn=("<|im_end|>",),
    before_template="{%- set enable_thinking = false %}",
)
A2D_QWEN3 = replace(
    QWEN3,
    name="a2d-qwen3",
    network={
        **QWEN3.network,
        "visible": "all",
        "reading": "own",
    },  # bd3lm attends by blocks, which its config.json does not say
    architecture="A2DQwen3LMHeadModel",
)
