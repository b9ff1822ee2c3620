"""Load a tokenizer and make sure that it and the model mean the same tokens."""

from pathlib import Path

from transformers import PreTrainedTokenizerFast

from dopsd.model.checkpoint import ADVICE, CheckpointError, find_directory, read_config

SPECIAL_TOKENS = {
    "mask_token_id": "<|mdm_mask|>",
    "eos_token_id": "<|endoftext|>",
    "eot_token_id": "<|eot_id|>",
}


def load_tokenizer(path: str | Path) -> PreTrainedTokenizerFast:
    """The tokenizer beside a model, padding left; raises CheckpointError if absent, bare or at odds."""
    directory = find_directory(path, weights=False)
    if not (directory / "tokenizer.json").is_file():
        raise CheckpointError(f"no tokenizer.json in {directory}; {ADVICE}")
    try:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(
            directory, local_files_only=True, padding_side="left"
        )
    except Exception as error:  # the tokenizers library raises bare Exception on a damaged file
        raise CheckpointError(f"cannot read the tokenizer in {directory}: {error}") from error
    if not tokenizer.chat_template:
        raise CheckpointError(f"the tokenizer in {directory} has no chat template")
    if (directory / "config.json").is_file():
        _check_ids(tokenizer, directory)
    return tokenizer


def _check_ids(tokenizer: PreTrainedTokenizerFast, directory: Path) -> None:
    config = read_config(directory)
    vocabulary = tokenizer.get_vocab()
    for field, token in SPECIAL_TOKENS.items():
        if vocabulary.get(token) != getattr(config, field):
            raise CheckpointError(
                f"{directory}: {token} is {vocabulary.get(token)} in the tokenizer "
                f"but {field}={getattr(config, field)} in config.json"
            )
    if len(tokenizer) > (config.embedding_size or 0):
        raise CheckpointError(
            f"{directory}: {len(tokenizer)} tokens do not fit embedding_size={config.embedding_size}"
        )
