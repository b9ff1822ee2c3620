"""Between text and tokens."""

import pytest
import torch
from fakes import CHAT, EOS, EOT, PROMPT, SPECIAL, example
from hypothesis import given
from hypothesis import strategies as st

from dopsd.chat import Chat, answer_tokens
from dopsd.distillation.teacher import ARPrefixTeacher
from dopsd.model import load_tokenizer


def test_prompts_are_the_templated_messages():
    prompts = CHAT.prompts([example(0), example(3)])
    expected = [[4, 4, PROMPT], [7, 7, 7, 7, 4, PROMPT]]
    assert [t[m].tolist() for t, m in zip(prompts.tokens, prompts.attention_mask, strict=True)] == expected


def test_a_solution_stands_behind_the_users_message():
    with_solution = (
        CHAT.prompts_of([ARPrefixTeacher().message(example(0, solution="bcd"))]).tokens[0].tolist()
    )
    plain = CHAT.encode_prompt(example(0).prompt)
    assert with_solution[: len(plain) - 1] == plain[:-1]
    assert with_solution[-4:] == [5, 6, 7, PROMPT]


def test_a_wanted_solution_that_does_not_exist_is_refused_by_id():
    with pytest.raises(ValueError, match="judge-5"):
        ARPrefixTeacher().message(example(5))


@given(st.lists(st.sampled_from([EOS, EOT, 4, 5]), max_size=8))
def test_an_answer_is_what_stands_before_the_first_end(row):
    answer = answer_tokens(row, SPECIAL)
    assert row[: len(answer)] == answer
    assert not {EOS, EOT} & set(answer)
    assert len(answer) == len(row) or row[len(answer)] in (EOS, EOT)


def test_responses_are_decoded_up_to_the_first_end_and_round_trip():
    tokens = [CHAT.encode_response("abc"), [4, EOS, 5, 6], [EOT, 4, 4, 4], [4, 5, 6, 7]]
    assert tokens[0][-1] == EOT
    assert CHAT.responses(torch.tensor(tokens)) == ["abc", "a", "", "abcd"]


def test_no_answer_has_no_text_and_an_empty_one_an_empty_text():
    chat = Chat(tokenizer=load_tokenizer("tiny"), special=SPECIAL)
    assert chat.texts([]) == []
    assert chat.texts([[]]) == [""]
