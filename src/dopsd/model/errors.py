"""What is wrong with a checkpoint, in one line."""

import json
from pathlib import Path

ADVICE = (
    "download config.json, the tokenizer files and *.safetensors into one directory and give its path, "
    "or use `tiny`, which needs nothing"
)


class CheckpointError(ValueError):
    """A checkpoint that is not there, not whole or not of this architecture; the message is one line."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))


def read_json(file: Path) -> dict:
    """The object in a JSON file; raises CheckpointError where there is none."""
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{file} is missing; {ADVICE}") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file} cannot be read: {error}") from error
    if not isinstance(fields, dict):
        raise CheckpointError(f"{file} is not a JSON object")
    return fields
