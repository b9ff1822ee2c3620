"""The answer is found in any string, the last one counts, and what follows the end of text does not."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dopsd.task.answer import read_answer, write_response

PIECES = [
    "<answer>",
    "</answer>",
    "\\boxed{",
    "\\boxed",
    "{",
    "}",
    "<reasoning>",
    "3*5",
    " ",
    "\n",
    "<|eot_id|>",
]
ANYTHING = st.text(max_size=80) | st.lists(st.sampled_from(PIECES), max_size=20).map("".join)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.text(alphabet="0123456789+-*/() ", max_size=40), st.text(alphabet="0123456789=, ", max_size=40))
def test_reading_inverts_writing(answer, reasoning):
    assert read_answer(write_response(reasoning, answer)) == answer.strip()


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("<answer>\\boxed{1}</answer> no, <answer>\\boxed{2}</answer>", "2"),
        ("\\boxed{1} or \\boxed{2}", "2"),
        ("<answer>3*5</answer>", "3*5"),
        ("<answer> 3*5", "3*5"),
        ("<answer>so \\boxed{\\frac{1}{2}}, I think</answer>", "\\frac{1}{2}"),
        ("<answer>1</answer> \\boxed{2}", "1"),
        ("<answer></answer>", ""),
        ("<answer>\\boxed{}</answer>", ""),
        ("<answer>\\boxed{1</answer>", None),
        ("\\boxed{1", None),
        ("no answer", None),
        ("", None),
        ("<answer>1</answer><|eot_id|><answer>2</answer>", "1"),
        ("<answer>1</answer><|im_end|>\n<answer>2</answer>", "1"),
        ("<answer>" + "1" * 3000 + "</answer>", None),
        ("\\boxed{" + "1" * 3000 + "}", None),
    ],
)
def test_which_answer_counts(response, answer):
    assert read_answer(response) == answer


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    ANYTHING,
    st.lists(st.sampled_from(["<|endoftext|>", "<|eot_id|>", " ", "\n", "\t"]), max_size=6).map("".join),
)
def test_trailing_end_tokens_and_whitespace_change_nothing(response, tail):
    assert read_answer(response + tail) == read_answer(response)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(ANYTHING)
def test_any_string_is_read(response):
    answer = read_answer(response)
    assert answer is None or answer in response


@pytest.mark.parametrize("piece", [*PIECES, "<|endoftext|>", "<answer>\\boxed{", "\\boxed{{", "<"])
def test_reading_time_does_not_explode_with_length(piece):
    response = piece * (2_000_000 // len(piece))
    start = time.perf_counter()
    read_answer(response)
    assert time.perf_counter() - start < 1.0
