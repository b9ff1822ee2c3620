"""The network: bidirectional, blind to padding, equal to Llama without its mask, a head only where asked."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from dopsd.model import LLaDAConfig, MaskedDiffusionLM
from dopsd.model.attention import rotary_angles, rotate


@pytest.fixture
def llama(model):
    """transformers' own Llama with the causal mask off and this model's weights."""
    config = model.config
    reference = LlamaForCausalLM(
        LlamaConfig(
            hidden_size=config.d_model,
            intermediate_size=config.mlp_hidden_size,
            num_hidden_layers=config.n_layers,
            num_attention_heads=config.n_heads,
            num_key_value_heads=config.n_kv_heads,
            vocab_size=config.vocab_size,
            rms_norm_eps=config.rms_norm_eps,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
            is_causal=False,
        )
    )
    reference.load_state_dict(model.state_dict())
    return reference.eval()


@torch.no_grad()
def test_without_padding_it_is_llama_without_the_causal_mask(model, llama, canvas):
    for layer in llama.model.layers:
        layer.self_attn.is_causal = False
    everything = torch.ones_like(canvas)
    torch.testing.assert_close(
        model(canvas).logits(), llama(canvas, attention_mask=everything).logits, rtol=0, atol=1e-6
    )


@torch.no_grad()
def test_with_padding_it_is_llama_on_real_tokens(model, llama, canvas, left_padding):
    for layer in llama.model.layers:
        layer.self_attn.is_causal = False
    positions = (left_padding.cumsum(1) - 1).clamp(min=0)
    expected = llama(canvas, attention_mask=left_padding.long(), position_ids=positions).logits
    found = model(canvas, left_padding).logits()
    torch.testing.assert_close(found[left_padding], expected[left_padding], rtol=0, atol=1e-6)


@torch.no_grad()
def test_a_later_token_changes_earlier_logits(model, canvas):
    changed = canvas.clone()
    changed[:, -1] = (changed[:, -1] + 1) % 64
    difference = (model(canvas).logits() - model(changed).logits()).abs().amax(dim=-1)
    assert (difference[:, :-1] > 1e-6).all()


@torch.no_grad()
@pytest.mark.parametrize("arm", ["sdpa", "eager"])
@pytest.mark.parametrize("where", ["left", "right", "scattered"])
def test_padding_changes_no_logit(model, canvas, arm, where):
    model.config._attn_implementation = arm
    columns = {"left": range(6, 20), "right": range(14), "scattered": [0, *range(2, 10), *range(13, 18)]}
    at = torch.tensor(list(columns[where]))
    padded = torch.randint(64, (3, 20))  # whatever stands in padding must not matter
    padded[:, at] = canvas
    mask = torch.zeros(3, 20, dtype=torch.long)
    mask[:, at] = 1
    torch.testing.assert_close(model(padded, mask).logits()[:, at], model(canvas).logits(), rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_batch_equals_its_rows(model, canvas, left_padding):
    together = model(canvas, left_padding).logits()
    for row in range(3):
        real = left_padding[row]
        alone = model(canvas[row][real][None]).logits()[0]
        torch.testing.assert_close(together[row][real], alone, rtol=0, atol=1e-5)


@torch.no_grad()
def test_logits_at_columns_are_the_gathered_full_logits(model, canvas, left_padding):
    at = torch.tensor([[13, 6, 6], [0, 1, 2], [12, 3, 7]])
    full = model(canvas, left_padding).logits()
    expected = full.gather(1, at[:, :, None].expand(-1, -1, full.shape[-1]))
    torch.testing.assert_close(model(canvas, left_padding, at).logits(), expected, rtol=0, atol=1e-6)


@torch.no_grad()
def test_an_all_ones_mask_is_no_mask(model, canvas):
    for ones in (torch.ones_like(canvas), torch.ones(3, 14, dtype=torch.bool)):
        assert torch.equal(model(canvas, ones).logits(), model(canvas).logits())


@pytest.mark.parametrize("padded", [False, True])
def test_gradient_checkpointing_changes_no_gradient(model, canvas, left_padding, padded):
    mask = left_padding if padded else None

    def gradients():
        model.zero_grad()
        model(canvas, mask).logits().float().log_softmax(-1)[..., 7].mean().backward()
        return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}

    model.train()
    plain = gradients()
    calls = []
    for layer in model.model.layers:
        layer.mlp.register_forward_pre_hook(lambda *_: calls.append(1))
    model.gradient_checkpointing_enable()
    checkpointed = gradients()
    assert len(calls) == 2 * len(model.model.layers)  # each layer ran again in the backward pass
    for name, gradient in plain.items():
        assert torch.equal(gradient, checkpointed[name]), name


def test_positions_are_rotated_in_float32_whatever_the_model_is(make_model):
    config = make_model().config
    x = torch.randn(1, 4, 60, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    positions = torch.arange(4000, 4060)[None]
    angles = rotary_angles(positions, config)
    assert angles[0].dtype == torch.float32
    exact = rotate(x.double().float(), angles)
    assert torch.equal(rotate(x, angles), exact.bfloat16())
    coarse = (x * angles[0].bfloat16()) + torch.cat((-x[..., 4:], x[..., :4]), -1) * angles[1].bfloat16()
    assert not torch.equal(coarse, exact.bfloat16())  # what rotating in bfloat16 would have given


@torch.no_grad()
def test_casting_a_finished_model_keeps_its_positions_exact(make_model, canvas):
    cast = make_model().to(torch.bfloat16)
    logits = cast(canvas).logits()
    assert logits.dtype == torch.bfloat16
    reference = cast.float()(canvas).logits()  # same rounded weights, float32 arithmetic
    assert (logits.float() - reference).abs().max() < 0.1 * reference.std()


def test_tied_weights_share_one_matrix(make_model, canvas):
    model = make_model(weight_tying=True)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model(canvas).logits().shape == (3, 14, 64)


def test_end_tokens_come_from_the_config(make_model):
    model = make_model()
    assert (model.mask_id, model.eos_id, model.eot_id, model.end_ids) == (3, 1, 2, (1, 2))
    official = LLaDAConfig()
    assert official.eot_token_id == 126348
    assert official.pad_token_id == official.eos_token_id == 126081


def test_the_published_config_gives_the_published_network():
    published = {
        **{"activation_type": "silu", "alibi": False, "attention_dropout": 0.0, "block_type": "llama"},
        **{"d_model": 4096, "embedding_size": 126464, "eos_token_id": 126081, "include_bias": False},
        **{"include_qkv_bias": False, "init_device": "meta", "init_fn": "mitchell", "layer_norm_type": "rms"},
        **{"mask_token_id": 126336, "max_sequence_length": 4096, "mlp_hidden_size": 12288, "mlp_ratio": 4},
        **{"model_type": "llada", "multi_query_attention": None, "n_heads": 32, "n_kv_heads": 32},
        **{"n_layers": 32, "pad_token_id": 126081, "precision": "amp_bf16", "rms_norm_eps": 1e-05},
        **{"rope": True, "rope_full_precision": True, "rope_theta": 500000.0, "scale_logits": False},
        **{"transformers_version": "4.46.3", "use_cache": False, "vocab_size": 126464, "weight_tying": False},
    }
    with torch.device("meta"):
        model = MaskedDiffusionLM(LLaDAConfig.from_dict(published))
    assert sum(parameter.numel() for parameter in model.parameters()) == 8_015_581_184
    assert (model.mask_id, model.end_ids) == (126336, (126081, 126348))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"block_type": "sequential"}, "block_type"),
        ({"include_qkv_bias": True}, "include_qkv_bias"),
        ({"alibi": True}, "alibi"),
        ({"n_heads": 5}, "n_heads"),
        ({"n_kv_heads": 3}, "n_kv_heads"),
        ({"mask_token_id": 64}, "mask_token_id"),
        ({"eot_token_id": None}, "eot_token_id"),
    ],
)
def test_a_config_of_another_network_is_refused(make_model, fields, named):
    with pytest.raises(ValueError, match=named) as caught:
        make_model(**fields)
    assert "\n" not in str(caught.value)
