"""What of LLaDA-8B fits on which cards: `python benchmarks/fits.py`. No GPU is needed, and none was asked.

The bytes that a layer keeps for the backward pass are counted on one layer of LLaDA-8B's shape, with the adapters of
`model=llada_8b`; everything else is arithmetic. Writes benchmarks/results/fits.json.
"""

from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table
from setup import save
from torch import Tensor

from dopsd.diffusion.hidden import LOGITS, ON_GPU
from dopsd.model import LLaDAConfig, MaskedDiffusionLM, add_lora

GB = 1e9
SHAPE = {
    "d_model": 4096,
    "n_heads": 32,
    "n_layers": 32,
    "mlp_hidden_size": 12288,
    "vocab_size": 126464,
    "max_sequence_length": 4096,
}
CARDS = (24, 40, 80, 141)
SETUPS = {
    "one GPU, or ddp on any number": {"shards": 1, "base": "bf16"},
    "the same with a 4-bit base (nf4)": {"shards": 1, "base": "nf4"},
    "fsdp on 4 GPUs": {"shards": 4, "base": "bf16"},
    "fsdp on 8 GPUs": {"shards": 8, "base": "bf16"},
}
RESERVED = 2.0  # GB a card: CUDA context, allocator slack, the rollout's buffers
READOUT = 6 * 4 * LOGITS * ON_GPU / GB  # the comparison of one chunk of logits holds about six float32 copies
SMALLEST = 1024  # tokens: two states of a 256-token answer with its prompt


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What one layer costs: parameters, and bytes kept for the backward pass."""

    base_parameters: float
    adapter_parameters: float
    kept_bytes_per_token: float
    kept_bytes_checkpointed: float


def main() -> None:
    """Count, compute, write, show."""
    layer = count_layer()
    rows = [
        {"setup": name, "card_gb": card, **fitting(layer, card=card, **setup)}
        for name, setup in SETUPS.items()
        for card in CARDS
    ]
    save("fits", {"layer": vars(layer), "rows": rows})
    show(rows)


def count_layer() -> Counted:
    """What the second of two layers adds, in bf16 with float32 adapters."""
    one, two = counts(layers=1), counts(layers=2)
    return Counted(**{key: two[key] - one[key] for key in one})


def counts(*, layers: int) -> dict[str, float]:
    """The same of a whole network of LLaDA-8B's width with few layers and few words."""
    shape = {**SHAPE, "n_layers": layers, "vocab_size": 512}
    config = LLaDAConfig(**shape, mask_token_id=0, eos_token_id=1, eot_token_id=2)
    model = MaskedDiffusionLM._from_config(config, dtype=torch.bfloat16, attn_implementation="sdpa")
    base = sum(p.numel() for p in model.parameters())
    adapted = add_lora(model, r=128, alpha=64, dropout=0.05)
    adapters = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    kept = kept_bytes_a_token(adapted)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    return {
        "base_parameters": base,
        "adapter_parameters": adapters,
        "kept_bytes_per_token": kept,
        "kept_bytes_checkpointed": kept_bytes_a_token(adapted),
    }


def kept_bytes_a_token(model: torch.nn.Module, tokens: int = 256) -> float:
    """What twice as many tokens add (copies of weights are kept once, however many there are)."""
    return (kept_bytes(model, 2 * tokens) - kept_bytes(model, tokens)) / tokens


def kept_bytes(model: torch.nn.Module, tokens: int) -> int:
    """Bytes of all tensors saved by one forward (each storage once, weights left out)."""
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    storages: dict[int, int] = {}
    alive = []

    def save(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            storages[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    canvas = torch.randint(500, (1, tokens), generator=torch.Generator().manual_seed(0))
    model.train()
    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        model(canvas, at=torch.tensor([[0]]))
    return sum(storages.values())


def fitting(layer: Counted, *, card: int, shards: int, base: str) -> dict:
    """The tokens of a micro-batch that fit beside weights, gradients and optimizer state."""
    layers = SHAPE["n_layers"]
    layer_gb = layer.base_parameters * (2 if base == "bf16" else 0.53) / GB  # nf4: 4 bits and its scales
    embeddings = 2 * SHAPE["vocab_size"] * SHAPE["d_model"] * 2 / GB  # input and head, bf16 either way
    # float32: weight, gradient, two moments; and the weight as the products see it, in bf16
    adapters = layers * layer.adapter_parameters * 18 / GB
    gathered = 2 * (layer_gb + layer.adapter_parameters * 4 / GB) + embeddings if shards > 1 else 0.0
    fixed = (layers * layer_gb + embeddings + adapters) / shards + gathered + RESERVED + READOUT
    left = (card - fixed) * GB
    plain = left / (layers * layer.kept_bytes_per_token)
    recomputed = left / (
        layers * layer.kept_bytes_checkpointed + layer.kept_bytes_per_token
    )  # one layer at a time
    return {
        "fixed_gb": round(fixed, 1),
        "tokens": rounded(plain),
        "tokens_checkpointed": rounded(recomputed),
        "figures": "computed",
    }


def rounded(tokens: float) -> int:
    """Down to a power of two; 0 where not even two states fit."""
    return 2 ** int(tokens).bit_length() // 2 if tokens >= SMALLEST else 0


def show(rows: list[dict]) -> None:
    """The table."""
    table = Table(title="LLaDA-8B, LoRA r 128: largest micro_batch_tokens (computed)")
    for column in ("setup", "card", "GB before activations", "tokens", "with activation_checkpointing"):
        table.add_column(column)
    for entry in rows:
        sizes = [str(entry[key] or "does not fit") for key in ("tokens", "tokens_checkpointed")]
        table.add_row(entry["setup"], f"{entry['card_gb']} GB", f"{entry['fixed_gb']}", *sizes)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
