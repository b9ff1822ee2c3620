"""Make the embedded model's tokenizer: `python experiments/embedded_model/make_tokenizer.py [DIRECTORY]`.

Byte-level BPE with a vocabulary of 512. Digits, operators, brackets, = and commas are always single tokens;
spaces split nothing; the phrases that every prompt and response of the two tasks is built from are one token
each. The outcome depends on this file and the two prompts alone, and is the shipped file bit for bit.
"""

import json
import sys
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

import dopsd
from dopsd.task import Countdown, Sudoku
from dopsd.task.answer import write_response
from dopsd.task.countdown import task as countdown
from dopsd.task.sudoku import task as sudoku

VOCABULARY = 512
SPECIAL = [
    "<|startoftext|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|mdm_mask|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
]
PHRASES = [
    countdown.INSTRUCTION.format(operators=" ".join(countdown.GENERATED_OPERATIONS)),
    sudoku.INSTRUCTION,
    "\nNumbers: ",
    "\nTarget: ",
    "\nPuzzle: ",
    "<reasoning>",
    "</reasoning><answer>\\boxed{",
    "}</answer>",
    "user",
    "assistant",
    "\n\n",
]
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first %}{{ bos_token }}{% endif %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    "{{ message['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
SINGLE = Regex(r"[0-9]|[-+*/()=]|, ?")


def main(directory: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json into a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    make_tokenizer().save(str(directory / "tokenizer.json"))
    (directory / "tokenizer_config.json").write_text(
        json.dumps(settings(), indent=2) + "\n", encoding="utf-8"
    )


def make_tokenizer() -> Tokenizer:
    """Train the merges on the tasks' own texts, then add the phrases."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(SINGLE, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(PHRASES),
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    tokenizer.add_tokens([AddedToken(phrase, normalized=False) for phrase in PHRASES])
    assert tokenizer.get_vocab_size() == VOCABULARY
    return tokenizer


def texts() -> list[str]:
    """Prompts and responses of both tasks, and their sentences and words for other wordings."""
    grid = "3142243142133124"
    prompts = [Countdown().prompt((3, 5, 7), 22), Sudoku().prompt(grid)]
    responses = [write_response("3*5=15, 15+7=22", "3*5+7"), write_response(grid, grid)]
    sentences = [sentence for prompt in prompts for sentence in prompt.split(". ")]
    words = [" " + word for sentence in sentences for word in (" " + sentence).replace("\n", " ").split(" ")]
    return (prompts + responses) * 32 + (sentences + words) * 64


def settings() -> dict[str, object]:
    """What transformers reads beside the tokenizer itself."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "mask_token": "<|mdm_mask|>",
        "additional_special_tokens": ["<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"],
        "clean_up_tokenization_spaces": False,
        "model_max_length": 512,
        "padding_side": "left",
        "chat_template": CHAT_TEMPLATE,
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(dopsd.__file__).parent / "model" / "tiny")
