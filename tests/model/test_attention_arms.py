"""The attention arms that need a GPU, with what runs only there replaced: they see what sdpa sees."""

import inspect
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention
from torch.nn.functional import scaled_dot_product_attention
from transformers import modeling_flash_attention_utils as flash_utils
from transformers.integrations.flex_attention import WrappedFlexAttention

from dopsd.kv_cache import KVCache
from dopsd.model import add_lora
from dopsd.model.visible import BlockCausal, Causal, TwoStream, Visible

LAST = torch.arange(10, 14).expand(3, -1)
FIRST = torch.arange(3).expand(3, -1)
AT = [
    pytest.param(None, id="everywhere"),
    pytest.param(LAST, id="the last columns"),
    pytest.param(torch.tensor([[6, 13, 9], [0, 5, 5], [12, 3, 8]]), id="scattered"),
    pytest.param(torch.tensor([[13], [4], [7]]), id="one"),
]


def attend(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """(length, heads, D) each, as many key heads as divide the query heads."""
    q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))
    return scaled_dot_product_attention(q, k, v, scale=scale, enable_gqa=True)[0].transpose(0, 1)


def flash_attn_func(
    q: Tensor, k: Tensor, v: Tensor, dropout_p: float = 0.0, softmax_scale: float = 1.0, causal: bool = False
) -> Tensor:
    """The package's function of this name, on dense rows."""
    assert (dropout_p, causal) == (0.0, False)
    return torch.stack([attend(*row, softmax_scale) for row in zip(q, k, v, strict=True)])


def flash_attn_varlen_func(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
    dropout_p: float = 0.0,
    softmax_scale: float = 1.0,
    causal: bool = False,
) -> Tensor:
    """The package's function of this name, on rows one after another without their padding."""
    assert (dropout_p, causal) == (0.0, False)
    assert (cu_seqlens_q.dtype, cu_seqlens_k.dtype) == (torch.int32, torch.int32)
    assert (max_seqlen_q, max_seqlen_k) == (cu_seqlens_q.diff().max(), cu_seqlens_k.diff().max())
    rows = zip(
        q.split(cu_seqlens_q.diff().tolist()),
        k.split(cu_seqlens_k.diff().tolist()),
        v.split(cu_seqlens_k.diff().tolist()),
        strict=True,
    )
    return torch.cat([attend(*row, softmax_scale) for row in rows])


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> list[torch.dtype]:
    """Puts plain functions in the place of kernels; the dtypes that flash-attn's have met."""
    met = []

    def noting(function):
        def call(q, *args, **kwargs):
            met.append(q.dtype)
            return function(q, *args, **kwargs)

        call.__signature__ = inspect.signature(function)
        return call

    functions = (noting(flash_attn_func), noting(flash_attn_varlen_func), None)
    padding = (flash_utils._pad_input, flash_utils._unpad_input)
    monkeypatch.setattr(flash_utils, "_lazy_imports", lambda *_, **__: (*functions, *padding))
    for name, value in vars(flash_utils).items():
        if name.endswith("_fn") or name == "_loaded_implementation":
            monkeypatch.setattr(flash_utils, name, value)  # set when first used; taken back afterwards
    monkeypatch.setattr(flash_utils, "_loaded_implementation", None)
    monkeypatch.setattr(WrappedFlexAttention, "__call__", lambda self: flex_attention)
    return met


def with_arm(network, arm: str, *args, **kwargs) -> Tensor:
    network.config._attn_implementation = arm
    return network(*args, **kwargs).logits()


@torch.no_grad()
@pytest.mark.parametrize("at", AT)
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("arm", ["flash_attention_2", "flex_attention"])
def test_an_arm_sees_what_sdpa_sees(model, canvas, left_padding, arm, padded, at, kernels) -> None:
    mask = left_padding if padded else None
    if at is not None and padded and arm == "flash_attention_2":
        assert left_padding[:, -at.shape[1] :].all()
    expected, found = (with_arm(model, a, canvas, mask, at) for a in ("sdpa", arm))
    real = left_padding if padded and at is None else slice(None)
    torch.testing.assert_close(found[real], expected[real], rtol=0, atol=1e-5)
    assert bool(kernels) == (arm == "flash_attention_2")


@torch.no_grad()
@pytest.mark.parametrize("arm", ["flash_attention_2", "flex_attention"])
def test_an_arm_fills_and_renews_a_cache(model, canvas, left_padding, arm, kernels) -> None:
    changed = canvas.clone()
    changed[:, 10:] = (changed[:, 10:] + 1) % 64

    def answers(arm: str) -> Sequence[Tensor]:
        cache = KVCache()
        first = with_arm(model, arm, canvas, left_padding, LAST, cache=cache)
        active = torch.arange(9, 14).expand(3, -1)
        return first, with_arm(model, arm, changed, left_padding, LAST, cache=cache, active=active)

    for found, expected in zip(answers(arm), answers("sdpa"), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_flash_attention_gives_the_gradients_of_sdpa(model, canvas, left_padding, kernels) -> None:
    gradients = []
    for arm in ("sdpa", "flash_attention_2"):
        model.zero_grad()
        with_arm(model, arm, canvas, left_padding, LAST).logsumexp(-1).sum().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_flash_attention_meets_only_the_dtype_that_its_kernels_know(
    make_model, canvas, left_padding, kernels
) -> None:
    adapted = add_lora(make_model().to(torch.bfloat16), r=2, alpha=4, dropout=0.0).train()
    with_arm(adapted, "flash_attention_2", canvas, left_padding, LAST).float().sum().backward()
    assert set(kernels) == {torch.bfloat16}
    assert len(kernels) == adapted.config.n_layers


@torch.no_grad()
@pytest.mark.parametrize("at", [FIRST, torch.arange(14).flip(0).expand(3, -1)])
def test_flash_attention_refuses_padding_where_it_would_leave_out_queries(
    model, canvas, left_padding, at, kernels
) -> None:
    padding = left_padding.flip(1) if at is FIRST else left_padding
    with pytest.raises(ValueError, match="attention='flash_attention_2' needs all padding on the left"):
        with_arm(model, "flash_attention_2", canvas, padding, at)
    assert with_arm(model, "flash_attention_2", canvas, None, at).shape == (3, at.shape[1], 64)


@torch.no_grad()
@pytest.mark.parametrize("at", [AT[0], AT[2]])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("visible", [Causal(), BlockCausal(4), TwoStream(2, 4)])
def test_flex_attention_sees_what_sdpa_sees_of_a_structure(
    model, canvas, left_padding, visible: Visible, padded, at, kernels
) -> None:
    mask = left_padding if padded else None
    expected, found = (
        with_arm(model, arm, canvas, mask, at, visible=visible) for arm in ("sdpa", "flex_attention")
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("visible", [Causal(), BlockCausal(4), TwoStream(2, 4)])
def test_flash_attention_refuses_structures_in_one_line(model, canvas, visible: Visible, kernels) -> None:
    with pytest.raises(ValueError, match="attention='flash_attention_2' lets every column see all") as caught:
        with_arm(model, "flash_attention_2", canvas, visible=visible)
    assert "use sdpa, eager or flex_attention" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not kernels
