"""The configuration of a network: LLaDA's official field names, readable under Llama's names too."""

from typing import ClassVar, Literal, get_args, no_type_check

from transformers import PreTrainedConfig

from dopsd.model.family import FAMILIES, Family
from dopsd.model.family.family import TRANSFORMERS_FIELDS
from dopsd.model.visible import All, BlockCausal, Causal, Visible

Reading = Literal["own", "next"]
"""What the output at a column means: the token of this column, or that of the column behind it."""

_STRUCTURES = ("all", "causal", "block_causal")
LLADA_EOT_ID = 126348  # <|eot_id|>, which the official config.json does not name
LLADA_MASK_ID = 126336


@no_type_check  # transformers lets its config dataclasses take further fields; a checked __init__ would not
class LLaDAConfig(PreTrainedConfig):
    """What config.json says; raises ValueError for a network that this architecture is not."""

    model_type = "llada"
    attribute_map: ClassVar[dict[str, str]] = {
        **TRANSFORMERS_FIELDS,
        "hidden_act": "activation_type",
        "attention_bias": "include_qkv_bias",
        "mlp_bias": "include_bias",
    }

    d_model: int = 4096
    n_heads: int = 32
    n_kv_heads: int | None = None
    n_layers: int = 32
    mlp_hidden_size: int | None = 12288
    vocab_size: int = 126464
    embedding_size: int | None = None
    max_sequence_length: int = 4096
    rope_theta: float = 500000.0
    rms_norm_eps: float = 1e-5
    weight_tying: bool = False
    attention_dropout: float = 0.0
    activation_type: str = "silu"
    include_bias: bool = False
    include_qkv_bias: bool = False
    mask_token_id: int | None = LLADA_MASK_ID
    eos_token_id: int = 126081
    pad_token_id: int | None = None
    eot_token_id: int | None = None
    use_cache: bool = False
    visible: str = "all"
    block_length: int | None = None
    reading: Reading = "own"
    family: str = "llada"
    head_dim: int | None = None
    qk_norm: bool = False
    rope_llama3: dict | None = None

    def __post_init__(self, **kwargs):
        """Fill in what follows from other fields, then refuse what does not fit together."""
        if self.n_kv_heads is None:
            self.n_kv_heads = self.n_heads
        if self.embedding_size is None:
            self.embedding_size = self.vocab_size
        if self.mlp_hidden_size is None:
            self.mlp_hidden_size = (kwargs.get("mlp_ratio") or 4) * self.d_model
        if self.pad_token_id is None:
            self.pad_token_id = self.eos_token_id
        if self.eot_token_id is None and self.mask_token_id == LLADA_MASK_ID:
            self.eot_token_id = LLADA_EOT_ID
        for name in ("rope_scaling", "rope_parameters"):
            self._stretch_positions(name, kwargs.pop(name, None) or {})
        super().__post_init__(**kwargs)
        fixed = self.of_family.fixed
        self.of_family.refuse_another_network(
            {key: getattr(self, key) for key in fixed if hasattr(self, key)}
        )
        self._refuse_impossible_shapes()
        if self.head_dim is None:
            self.head_dim = self.d_model // self.n_heads
        self._refuse_impossible_ids()
        self._refuse_impossible_attention()

    @property
    def of_family(self) -> Family:
        """The kind of checkpoint that it belongs to."""
        return FAMILIES[self.family]

    @property
    def structure(self) -> Visible:
        """Who sees whom: every column all columns, those before it, or its block and the blocks before it."""
        if self.block_length is not None:
            return BlockCausal(self.block_length)
        return Causal() if self.visible == "causal" else All()

    def _stretch_positions(self, name: str, given: dict) -> None:
        plain = {"rope_theta": self.rope_theta, "rope_type": "default", "type": "default"}
        if "llama3" in (given.get("rope_type"), given.get("type")) and self.of_family.stretches_positions:
            self.rope_llama3 = {key: value for key, value in given.items() if key != "rope_theta"}
        elif any(value != plain.get(key) for key, value in given.items()):
            allowed = " or rope_type='llama3'" * self.of_family.stretches_positions
            raise ValueError(
                f"{name}={given} is not supported, only null (and rope_theta={self.rope_theta}){allowed}"
            )

    def _refuse_impossible_shapes(self) -> None:
        for name in (
            "d_model",
            "n_heads",
            "n_kv_heads",
            "n_layers",
            "mlp_hidden_size",
            "max_sequence_length",
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}={value!r} must be an integer of at least 1")
        for name in ("rope_theta", "rms_norm_eps"):
            if not isinstance(getattr(self, name), int | float):
                raise ValueError(f"{name}={getattr(self, name)!r} must be a number")
        if self.family != "llada" and self.head_dim is not None:
            if not isinstance(self.head_dim, int) or self.head_dim < 2 or self.head_dim % 2:
                raise ValueError(f"head_dim={self.head_dim!r} must be an even number")
        elif self.head_dim not in (None, self.d_model / self.n_heads):
            raise ValueError(
                f"head_dim={self.head_dim} must be d_model={self.d_model} / n_heads={self.n_heads}"
            )
        elif self.d_model % self.n_heads or (self.d_model // self.n_heads) % 2:
            raise ValueError(f"d_model={self.d_model} must be n_heads={self.n_heads} times an even number")
        if self.n_heads % (self.n_kv_heads or 1):
            raise ValueError(f"n_kv_heads={self.n_kv_heads} must divide n_heads={self.n_heads}")

    def _refuse_impossible_ids(self) -> None:
        for name in ("mask_token_id", "eos_token_id", "pad_token_id", "eot_token_id"):
            value = getattr(self, name)
            if value is None and name == "mask_token_id":
                continue  # no row is spare: one is added where the weights are loaded
            if not isinstance(value, int) or not 0 <= value < (self.embedding_size or 0):
                raise ValueError(f"{name}={value!r} must be an id below embedding_size={self.embedding_size}")

    def _refuse_impossible_attention(self) -> None:
        for name, allowed in {"visible": _STRUCTURES, "reading": get_args(Reading)}.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"{name}={value!r} must be one of {', '.join(allowed)}")
        has_blocks, length = self.visible == "block_causal", self.block_length
        if has_blocks and (not isinstance(length, int) or length < 1):
            raise ValueError(
                f"block_length={length!r} must be an integer of at least 1 with visible='block_causal'"
            )
        if not has_blocks and length is not None:
            raise ValueError(f"block_length={length!r} needs visible='block_causal', not {self.visible!r}")
