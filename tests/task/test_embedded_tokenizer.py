"""The shipped tokenizer: made by its script bit for bit, lossless, short on the two tasks' own text."""

import importlib.util
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dopsd.model import load_tokenizer
from dopsd.model.checkpoint import TINY_DIRECTORY
from dopsd.task import Countdown, EmbeddedMixture, Sudoku

SCRIPT = Path(__file__).parents[2] / "experiments" / "embedded_model" / "make_tokenizer.py"
SPECIAL = [
    "<|startoftext|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|mdm_mask|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
]
SINGLE = "0123456789+-*/()=,"


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer("tiny")


def prompt_ids(tokenizer, prompt: str) -> list[int]:
    chat = [{"role": "user", "content": prompt}]
    return tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=True, return_dict=False)


def test_the_script_makes_the_shipped_files_bit_for_bit(tmp_path):
    spec = importlib.util.spec_from_file_location("make_tokenizer", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / name).read_bytes() == (TINY_DIRECTORY / name).read_bytes()


def test_vocabulary_and_special_tokens(tokenizer):
    assert len(tokenizer) == 512
    assert tokenizer.convert_tokens_to_ids(SPECIAL) == list(range(6))
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.mask_token_id) == (1, 1, 3)
    assert tokenizer.padding_side == "left"


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.text() | st.text(alphabet=SINGLE + " \n<>{}\\answeroxdig|"))
def test_any_text_survives_encoding_and_decoding(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.text(alphabet=SINGLE))
def test_digits_and_operators_are_never_merged(tokenizer, text):
    assert len(tokenizer(text, add_special_tokens=False)["input_ids"]) == len(text)


def test_only_instructions_hold_digits_or_operators_beside_other_characters(tokenizer):
    merged = [tokenizer.decode([index]) for index in range(6, len(tokenizer))]
    mixed = [it for it in merged if len(it) > 1 and set(it) & set("0123456789+*=()")]
    assert all(len(it) > 200 for it in mixed)


def test_skipping_special_tokens_keeps_the_answer_tags(tokenizer):
    response = Countdown().examples("dev")[0].solution
    ids = tokenizer(response + "<|eot_id|><|endoftext|>", add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == response


def test_the_chat_template_is_lladas(tokenizer):
    chat = [{"role": "user", "content": " hi "}, {"role": "assistant", "content": "yes"}]
    text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert text == (
        "<|startoftext|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nyes<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


@pytest.mark.parametrize(
    ("task", "prompt_limit", "response_limit"),
    [(Countdown(max_number=9, dev=64, test=64), 20, 31), (Countdown(), 24, 32), (Sudoku(train=1000), 28, 40)],
    ids=["countdown to 9", "countdown", "sudoku"],
)
def test_prompts_and_responses_are_short(tokenizer, task, prompt_limit, response_limit):
    examples = [*task.examples("train"), *task.examples("test")]
    assert max(len(prompt_ids(tokenizer, it.prompt)) for it in examples) <= prompt_limit
    responses = tokenizer([it.solution for it in examples], add_special_tokens=False)["input_ids"]
    assert max(map(len, responses)) + 1 <= response_limit


def test_every_training_sample_fits_the_canvas_of_its_task(tokenizer):
    train = EmbeddedMixture(countdown=Countdown(), sudoku=Sudoku()).examples("train")[:2000]
    for name, limit in (("countdown", 32), ("sudoku", 40)):
        texts = [it.solution for it in train if it.id.startswith(name)]
        assert max(map(len, tokenizer(texts, add_special_tokens=False)["input_ids"])) + 1 <= limit
