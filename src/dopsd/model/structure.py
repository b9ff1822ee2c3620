"""Weights with another structure of attention than their own: an autoregressive model becomes a student."""

from pathlib import Path

from dopsd.model.checkpoint import CheckpointError, read_config
from dopsd.model.configuration import LLaDAConfig


def configured(
    directory: Path,
    *,
    init: str = "pretrained",
    visible: str | None = None,
    block_length: int | None = None,
    reading: str | None = None,
) -> LLaDAConfig:
    """The directory's config, with who sees whom and what an output means as they are given (None: as it says).

    `block_length` is that of visible=block_causal. Raises CheckpointError where this makes no sense of the weights.
    """
    config = read_config(directory)
    if init == "pretrained" and visible is not None and config.visible != "causal":
        raise CheckpointError(
            f"visible={visible}: needs autoregressive weights (visible=causal), not visible={config.visible}"
        )
    fields = config.to_dict()
    if visible is not None:
        fields |= {"visible": visible, "block_length": block_length if visible == "block_causal" else None}
    if reading is not None:
        fields["reading"] = reading
    if (fields["visible"], fields["reading"]) == ("causal", "own"):
        raise CheckpointError(
            "reading=own: must be next with visible=causal, where a column sees its own token"
        )
    try:
        return LLaDAConfig.from_dict(fields)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
