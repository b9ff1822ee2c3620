"""The tokens of a checkpoint and their ids, read from its files without making a tokenizer."""

from functools import lru_cache
from pathlib import Path

from dopsd.model import gguf
from dopsd.model.errors import ADVICE, CheckpointError, read_json


def read_vocabulary(directory: Path) -> dict[str, int]:
    """The ids of all tokens, added ones included; raises CheckpointError where there is no tokenizer."""
    if file := gguf.gguf_file(directory):
        return gguf.vocabulary(file)
    for name in ("tokenizer.json", "vocab.json"):
        if (directory / name).is_file():
            return _read(directory / name, (directory / name).stat().st_mtime_ns)
    raise CheckpointError(f"no tokenizer.json in {directory}; {ADVICE}")


def check_same_words(directory: Path, other: Path) -> None:
    """Raises CheckpointError where a token that both have is another id in the other directory, or there is none."""
    others = read_vocabulary(other)
    for word, number in read_vocabulary(directory).items():
        if others.get(word, number) != number:
            raise CheckpointError(
                f"another vocabulary: {word!r} is {number}, not {others[word]} as in {other}"
            )


@lru_cache(maxsize=4)
def _read(file: Path, _changed: int) -> dict[str, int]:
    found = read_json(file)
    if file.name == "tokenizer.json":
        listed = found.get("model", {}).get("vocab", {})
        words = (
            listed if isinstance(listed, dict) else {word: number for number, (word, _) in enumerate(listed)}
        )
        return {**words, **{it["content"]: it["id"] for it in found.get("added_tokens", [])}}
    beside = file.parent / "tokenizer_config.json"
    added = read_json(beside).get("added_tokens_decoder", {}) if beside.is_file() else {}
    return {**found, **{it["content"]: int(number) for number, it in added.items()}}
