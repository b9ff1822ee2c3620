"""Load a tokenizer and make sure that it and the model mean the same tokens."""

from pathlib import Path

from transformers import PreTrainedTokenizerFast, Qwen2Tokenizer

from dopsd.model import gguf
from dopsd.model.checkpoint import find_directory, read_config
from dopsd.model.configuration import LLaDAConfig
from dopsd.model.errors import ADVICE, CheckpointError
from dopsd.model.family import Family, token_id


def load_tokenizer(path: str | Path) -> PreTrainedTokenizerFast:
    """The tokenizer beside a model, padding left; raises CheckpointError if absent, bare or at odds."""
    directory = find_directory(path, weights=False)
    if not (directory / "config.json").is_file() and gguf.gguf_file(directory) is None:
        tokenizer = _read(directory)
    else:
        config = read_config(directory)
        tokenizer = read_tokenizer(directory, config.of_family)
        _check_ids(tokenizer, config, directory)
        _complete_template(tokenizer, config.of_family)
    if not tokenizer.chat_template:
        raise CheckpointError(f"the tokenizer in {directory} has no chat template")
    return tokenizer


def read_tokenizer(directory: Path, family: Family) -> PreTrainedTokenizerFast:
    """The tokenizer in a directory, with a token for [MASK]; raises CheckpointError."""
    tokenizer = _read(directory)
    if not family.ids_in_config and family.mask not in tokenizer.get_vocab():
        tokenizer.add_special_tokens({"mask_token": family.mask})
    return tokenizer


def _read(directory: Path) -> PreTrainedTokenizerFast:
    has_words = (directory / "vocab.json").is_file() and (directory / "merges.txt").is_file()
    try:
        if (directory / "tokenizer.json").is_file():
            kind = PreTrainedTokenizerFast
        elif file := gguf.gguf_file(directory):
            return gguf.tokenizer(file)
        elif has_words:  # as in Dream, whose own class would be code from there
            kind = Qwen2Tokenizer
        else:
            raise CheckpointError(f"no tokenizer.json in {directory}; {ADVICE}")
        return kind.from_pretrained(directory, local_files_only=True, padding_side="left")
    except CheckpointError:
        raise
    except Exception as error:  # the tokenizers library raises bare Exception on a damaged file
        raise CheckpointError(f"cannot read the tokenizer in {directory}: {error}") from error


def _complete_template(tokenizer: PreTrainedTokenizerFast, family: Family) -> None:
    end_of_turn = next(it for it in family.end_of_turn if it in tokenizer.get_vocab())
    if not tokenizer.chat_template and end_of_turn in (family.chat_template or ""):
        tokenizer.chat_template = family.chat_template
    template = tokenizer.chat_template
    if isinstance(template, str) and not template.startswith(family.before_template):
        tokenizer.chat_template = family.before_template + template


def _check_ids(tokenizer: PreTrainedTokenizerFast, config: LLaDAConfig, directory: Path) -> None:
    family, vocabulary = config.of_family, tokenizer.get_vocab()
    rows = config.embedding_size or 0
    mask = (family.mask,)
    for field, tokens in {
        "mask_token_id": mask,
        "eos_token_id": family.end_of_text,
        "eot_token_id": family.end_of_turn,
    }.items():
        found, given = token_id(tokens, vocabulary), getattr(config, field)
        if found != (rows if given is None else given):
            raise CheckpointError(
                f"{directory}: {' or '.join(tokens)} is {found} in the tokenizer but {field}={given} in config.json"
            )
    if len(tokenizer) > rows + (config.mask_token_id is None):
        raise CheckpointError(f"{directory}: {len(tokenizer)} tokens do not fit embedding_size={rows}")
