"""A forward on some columns against cached keys and values: exact where nothing else has changed."""

import pytest
import torch

from dopsd.kv_cache import KVCache
from dopsd.model import add_lora

AT = torch.arange(6, 10).expand(3, -1)


@pytest.fixture(params=[False, True], ids=["plain", "lora"])
def network(request, model):
    if not request.param:
        return model
    adapted = add_lora(model, r=2, alpha=4, dropout=0.0)
    torch.manual_seed(0)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    return adapted.eval()


@torch.no_grad()
@pytest.mark.parametrize("active", [AT, torch.arange(6, 14).expand(3, -1), torch.arange(14).expand(3, -1)])
@pytest.mark.parametrize("arm", ["sdpa", "eager"])
@pytest.mark.parametrize("padded", [False, True])
def test_a_refreshed_cache_gives_the_exact_logits(network, canvas, left_padding, active, arm, padded):
    network.config._attn_implementation = arm
    mask = left_padding if padded else None
    cache = KVCache()
    exact = network(canvas, mask, AT).logits()
    torch.testing.assert_close(network(canvas, mask, AT, cache=cache).logits(), exact, rtol=0, atol=1e-5)
    torch.testing.assert_close(
        network(canvas, mask, AT, cache=cache, active=active).logits(), exact, rtol=0, atol=1e-5
    )


@torch.no_grad()
def test_what_is_active_is_renewed_and_what_is_not_stays(network, canvas, left_padding):
    cache = KVCache()
    network(canvas, left_padding, AT, cache=cache).logits()
    changed = canvas.clone()
    changed[:, 6:10] = (changed[:, 6:10] + 1) % 64
    stale = network(changed, left_padding, AT, cache=cache, active=AT).logits()
    exact = network(changed, left_padding, AT).logits()
    assert (
        1e-4 < (stale - exact).abs().max() < (exact - network(canvas, left_padding, AT).logits()).abs().max()
    )
    everywhere = torch.arange(14).expand(3, -1)
    renewed = network(changed, left_padding, AT, cache=cache, active=everywhere).logits()
    torch.testing.assert_close(renewed, exact, rtol=0, atol=1e-5)


@torch.no_grad()
def test_columns_that_are_named_twice_change_nothing(network, canvas, left_padding):
    cache = KVCache()
    exact = network(canvas, left_padding, AT, cache=cache).logits()
    short = torch.tensor([[6, 7, 8, 9, 10, 11, 12, 13, 13, 13]]).expand(3, -1)
    again = network(canvas, left_padding, AT, cache=cache, active=short).logits()
    torch.testing.assert_close(again, exact, rtol=0, atol=1e-5)


@torch.no_grad()
def test_rows_of_a_cache_and_joined_caches_are_those_of_their_rows(network, canvas, left_padding):
    whole = KVCache()
    exact = network(canvas, left_padding, AT, cache=whole).logits()
    order = torch.tensor([2, 0])
    picked = network(
        canvas[order], left_padding[order], AT[order], cache=whole.rows(order), active=AT[order]
    ).logits()
    torch.testing.assert_close(picked, exact[order], rtol=0, atol=1e-5)
    joined = KVCache.joined([whole.rows(torch.tensor([0])), whole.rows(torch.tensor([1, 2]))])
    together = network(canvas, left_padding, AT, cache=joined, active=AT).logits()
    torch.testing.assert_close(together, exact, rtol=0, atol=1e-5)
