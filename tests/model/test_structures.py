"""The network under each structure of attention, against transformers' Llama and against forwards of plain rows."""

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from dopsd.kv_cache import KVCache
from dopsd.model import LLaDAConfig
from dopsd.model.visible import BlockCausal, Causal, TwoStream

PROMPT, GEN, BLOCK = 6, 8, 4
STREAMS = TwoStream(BLOCK, GEN)
CLOSE = {"rtol": 0, "atol": 1e-9}
CLOSE_BY = {"sdpa": CLOSE, "eager": {"rtol": 0, "atol": 1e-5}}  # transformers' eager softmax is in float32


@pytest.fixture
def exact(make_model):
    """A network in float64, but for its angles."""
    return make_model(n_kv_heads=2).double()


@pytest.fixture
def clean() -> Tensor:
    """Three rows [prompt | canvas]."""
    return torch.randint(4, 64, (3, PROMPT + GEN), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def noisy(clean) -> Tensor:
    """The canvases, some of their tokens masked."""
    hidden = torch.rand(3, GEN, generator=torch.Generator().manual_seed(2)) < 0.6
    return clean[:, PROMPT:].masked_fill(hidden, 3)


@pytest.fixture
def padded() -> Tensor:
    """Two of the rows have padding."""
    mask = torch.ones(3, PROMPT + GEN, dtype=torch.bool)
    mask[0, :5], mask[2, :1] = False, False
    return mask


def noisy_columns(rows: int = 3) -> Tensor:
    return torch.arange(PROMPT + GEN, PROMPT + 2 * GEN).expand(rows, -1)


def both(clean: Tensor, noisy: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
    """The two-stream row and its mask."""
    ones = torch.ones_like(noisy, dtype=torch.bool)
    return torch.cat([clean, noisy], 1), None if mask is None else torch.cat([mask, ones], 1)


@torch.no_grad()
def test_causal_is_transformers_own_llama(model, canvas, left_padding):
    config = model.config
    llama = LlamaForCausalLM(
        LlamaConfig(
            hidden_size=config.d_model,
            intermediate_size=config.mlp_hidden_size,
            num_hidden_layers=config.n_layers,
            num_attention_heads=config.n_heads,
            num_key_value_heads=config.n_kv_heads,
            vocab_size=config.vocab_size,
            rms_norm_eps=config.rms_norm_eps,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
        )
    ).eval()
    llama.load_state_dict(model.state_dict())
    plain = model(canvas, visible=Causal()).logits()
    torch.testing.assert_close(plain, llama(canvas).logits, rtol=0, atol=1e-5)
    positions = (left_padding.cumsum(1) - 1).clamp(min=0)
    expected = llama(canvas, attention_mask=left_padding.long(), position_ids=positions).logits
    found = model(canvas, left_padding, visible=Causal()).logits()
    torch.testing.assert_close(found[left_padding], expected[left_padding], rtol=0, atol=1e-5)
    assert found.isfinite().all()


@torch.no_grad()
@pytest.mark.parametrize("length", [1, 3, 4, 14])
def test_block_causal_is_a_loop_over_blocks(exact, clean, padded, length):
    """A block is computed with full attention over what stands up to its end, the earlier ones in a cache."""
    width = PROMPT + GEN
    found, cache = exact(clean, padded, visible=BlockCausal(length)).logits(), KVCache()
    for end in range(width % length or length, width + 1, length):
        start = max(0, end - length)
        at = torch.arange(start, end).expand(3, -1)
        if start:
            cache = cache.widened(end - start)
        active = {"active": at} if start else {}
        block = exact(clean[:, :end], padded[:, :end], at, cache=cache, **active).logits()
        real = padded[:, start:end]
        torch.testing.assert_close(block[real], found[:, start:end][real], **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("reading", ["own", "next"])
@pytest.mark.parametrize("arm", ["sdpa", "eager"])
def test_a_noisy_block_is_that_of_a_single_canvas(exact, clean, noisy, padded, reading, arm):
    exact.config._attn_implementation = arm
    streams = exact(*both(clean, noisy, padded), noisy_columns(), visible=STREAMS, reading=reading).logits()
    for start in range(0, GEN, BLOCK):
        canvas = clean.clone()
        canvas[:, PROMPT + start :] = noisy[:, start:]
        at = torch.arange(PROMPT + start, PROMPT + start + BLOCK).expand(3, -1)
        single = exact(canvas, padded, at, visible=BlockCausal(BLOCK), reading=reading).logits()
        torch.testing.assert_close(streams[:, start : start + BLOCK], single, **CLOSE_BY[arm])


@torch.no_grad()
def test_clean_columns_are_those_of_a_row_without_noise(exact, clean, noisy, padded):
    found = exact(*both(clean, noisy, padded), visible=STREAMS).logits()[:, : PROMPT + GEN]
    expected = exact(clean, padded, visible=BlockCausal(BLOCK)).logits()
    torch.testing.assert_close(found[padded], expected[padded], **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("visible", [Causal(), BlockCausal(BLOCK), STREAMS])
def test_eager_sees_what_sdpa_sees(exact, clean, noisy, padded, visible):
    row, mask = both(clean, noisy, padded) if visible is STREAMS else (clean, padded)
    expected = exact(row, mask, visible=visible).logits()
    exact.config._attn_implementation = "eager"
    torch.testing.assert_close(exact(row, mask, visible=visible).logits(), expected, **CLOSE_BY["eager"])


@torch.no_grad()
@pytest.mark.parametrize("reading", ["own", "next"])
def test_what_a_noisy_block_may_not_see_changes_nothing_in_it(exact, clean, noisy, reading):
    def of_block(row: Tensor, block: int) -> Tensor:
        at = noisy_columns()[:, block * BLOCK : (block + 1) * BLOCK]
        return exact(row, None, at, visible=STREAMS, reading=reading).logits()

    row, _ = both(clean, noisy)
    hidden = {
        0: [*range(PROMPT, PROMPT + GEN), *range(PROMPT + GEN + BLOCK, PROMPT + 2 * GEN)],
        1: [*range(PROMPT + BLOCK, PROMPT + GEN), *range(PROMPT + GEN, PROMPT + GEN + BLOCK)],
    }
    for block, columns in hidden.items():
        expected = of_block(row, block)
        for column in range(row.shape[1]):
            changed = row.clone()
            changed[:, column] = (changed[:, column] + 1) % 64
            moved = (of_block(changed, block) - expected).abs().amax((1, 2))
            assert (moved == 0).all() if column in columns else (moved > 1e-9).all(), (block, column)


@torch.no_grad()
def test_a_causal_teacher_predicts_from_what_stands_before(exact, clean):
    at = torch.arange(PROMPT, PROMPT + GEN).expand(3, -1)
    teacher = {"visible": Causal(), "reading": "next"}
    expected = exact(clean, None, at, **teacher).logits()
    own = exact(clean, None, at - 1, visible=Causal()).logits()
    assert torch.equal(expected, own)
    for place in range(GEN):
        changed = clean.clone()
        changed[:, PROMPT + place] = (changed[:, PROMPT + place] + 1) % 64
        moved = (exact(changed, None, at, **teacher).logits() - expected).abs().amax((0, 2))
        assert (moved[: place + 1] == 0).all()
        assert (moved[place + 1 :] > 1e-9).all()


@torch.no_grad()
def test_a_shifted_student_starts_as_the_autoregressive_model(exact, clean, noisy):
    """With blocks of one token each is told by the clean prefix alone, whatever is noisy."""
    streams = TwoStream(1, GEN)
    student = exact(*both(clean, noisy), noisy_columns(), visible=streams, reading="next").logits()
    columns = torch.arange(PROMPT, PROMPT + GEN).expand(3, -1)
    teacher = exact(clean, None, columns, visible=Causal(), reading="next").logits()
    torch.testing.assert_close(student, teacher, **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("arm", ["sdpa", "eager"])
@pytest.mark.parametrize("visible", [Causal(), BlockCausal(BLOCK), STREAMS])
def test_left_padding_changes_nothing(exact, clean, noisy, visible, arm):
    exact.config._attn_implementation = arm
    row = both(clean, noisy)[0] if visible is STREAMS else clean
    more = 7
    longer = torch.cat([torch.randint(64, (3, more)), row], 1)  # whatever stands in padding must not matter
    mask = (torch.arange(longer.shape[1]) >= more).expand(3, -1)
    expected = exact(row, visible=visible).logits()
    torch.testing.assert_close(
        exact(longer, mask, visible=visible).logits()[:, more:], expected, **CLOSE_BY[arm]
    )


@pytest.mark.parametrize("visible", [Causal(), BlockCausal(BLOCK), STREAMS])
@pytest.mark.parametrize("padding", [False, True])
def test_checkpointing_changes_no_gradient(exact, clean, noisy, padded, visible, padding):
    mask = padded if padding else None
    row, mask = both(clean, noisy, mask) if visible is STREAMS else (clean, mask)
    at = torch.arange(row.shape[1] - GEN, row.shape[1]).expand(3, -1)

    def gradients() -> list[Tensor]:
        exact.zero_grad()
        exact(row, mask, at, visible=visible).logits().log_softmax(-1)[..., 7].mean().backward()
        return [parameter.grad.clone() for parameter in exact.parameters()]

    exact.train()
    expected = gradients()
    exact.gradient_checkpointing_enable({"use_reentrant": False})
    assert all(torch.equal(*pair) for pair in zip(gradients(), expected, strict=True))
    assert all(gradient.isfinite().all() for gradient in expected)


@torch.no_grad()
@pytest.mark.parametrize("visible", [Causal(), BlockCausal(BLOCK), STREAMS])
def test_chosen_columns_see_what_their_columns_see(exact, clean, noisy, padded, visible):
    row, mask = both(clean, noisy, padded) if visible is STREAMS else (clean, padded)
    everything = exact(row, mask, visible=visible).logits()
    at = torch.tensor([[13, 6, 6], [0, 1, 12], [9, 3, 7]])
    expected = everything.gather(1, at[:, :, None].expand(-1, -1, 64))
    torch.testing.assert_close(exact(row, mask, at, visible=visible).logits(), expected, **CLOSE)
    cache, active = KVCache(), torch.arange(5, row.shape[1]).expand(3, -1)
    exact(row, mask, cache=cache, visible=visible)
    at = at.clamp(min=5)
    expected = everything.gather(1, at[:, :, None].expand(-1, -1, 64))
    found = exact(row, mask, at, cache=cache, active=active, visible=visible).logits()
    torch.testing.assert_close(found, expected, **CLOSE)


@torch.no_grad()
def test_a_cache_is_read_one_column_before_what_is_active(exact, clean, padded):
    at = torch.arange(PROMPT, PROMPT + BLOCK).expand(3, -1)
    structure = {"visible": BlockCausal(BLOCK), "reading": "next"}
    expected, cache = exact(clean, padded, at, **structure).logits(), KVCache()
    torch.testing.assert_close(exact(clean, padded, at, cache=cache, **structure).logits(), expected, **CLOSE)
    found = exact(clean, padded, at, cache=cache, active=at, **structure).logits()
    torch.testing.assert_close(found, expected, **CLOSE)


@torch.no_grad()
def test_a_network_has_a_structure_of_its_own(make_model, clean):
    plain, own = make_model(), make_model(visible="block_causal", block_length=BLOCK, reading="next")
    assert (own.visible, own.reading) == (BlockCausal(BLOCK), "next")
    given = plain(clean, visible=BlockCausal(BLOCK), reading="next").logits()
    assert torch.equal(own(clean).logits(), given)
    assert torch.equal(given[:, 1:], plain(clean, visible=BlockCausal(BLOCK)).logits()[:, :-1])
    assert torch.equal(own(clean, visible=plain.visible, reading="own").logits(), plain(clean).logits())
    assert make_model(visible="causal").visible == Causal()


def test_the_structure_is_saved_and_read_back(make_model, tmp_path):
    make_model(visible="block_causal", block_length=BLOCK, reading="next").config.save_pretrained(tmp_path)
    config = LLaDAConfig.from_pretrained(tmp_path)
    assert (config.structure, config.reading) == (BlockCausal(BLOCK), "next")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"visible": "some"}, "visible='some' must be one of all, causal, block_causal"),
        ({"reading": "last"}, "reading='last' must be one of own, next"),
        (
            {"visible": "block_causal"},
            "block_length=None must be an integer of at least 1 with visible='block_",
        ),
        ({"visible": "block_causal", "block_length": 0}, "block_length=0 must be an integer of at least 1"),
        ({"block_length": 4}, "block_length=4 needs visible='block_causal', not 'all'"),
    ],
)
def test_an_impossible_structure_is_refused_in_one_line(make_model, fields, named):
    with pytest.raises(ValueError, match=named) as caught:
        make_model(**fields)
    assert "\n" not in str(caught.value)
