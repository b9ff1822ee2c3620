"""The answer format every task shares: how a response is written, how an answer is read from any string."""

END_TOKENS = ("<|endoftext|>", "<|eot_id|>", "<|im_end|>", "<|end_of_text|>")
"""All families', in what others generated: a network's own answers are cut at its end tokens before they are text."""
MAX_ANSWER_LENGTH = 2000  # characters; what is longer is no answer, and reading stays fast on any input


def write_response(reasoning: str, answer: str) -> str:
    """A response in the project's format."""
    return f"<reasoning>{reasoning}</reasoning><answer>\\boxed{{{answer}}}</answer>"


def read_answer(response: str) -> str | None:
    """The last answer of a response: its last <answer>, unboxed where boxed, or else its last \\boxed{}."""
    response = until_end_of_text(response)
    opened = response.rfind("<answer>")
    if opened < 0:
        return last_boxed(response)
    start = opened + len("<answer>")
    closed = response.find("</answer", start)  # some models do not finish the tag
    content = response[start:] if closed < 0 else response[start:closed]
    if "\\boxed" in content:
        return last_boxed(content)
    content = content.strip()
    return content if len(content) <= MAX_ANSWER_LENGTH else None


def last_boxed(text: str) -> str | None:
    """The content of the last \\boxed{}, its braces balanced; None where there is none or it never closes."""
    opened = text.rfind("\\boxed{")
    if opened < 0:
        return None
    start, depth = opened + len("\\boxed{"), 1
    for offset, character in enumerate(text[start : start + MAX_ANSWER_LENGTH]):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return text[start : start + offset].strip()
    return None


def until_end_of_text(response: str) -> str:
    """The response up to its first end-of-text or end-of-turn token."""
    for token in END_TOKENS:
        response = response.partition(token)[0]
    return response
