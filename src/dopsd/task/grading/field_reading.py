"""Where the d1 lineage of parsers looks for an answer; every search takes linear time on any string."""

from collections.abc import Iterator

from dopsd.task.answer import END_TOKENS

MAX_LENGTH = 2000  # characters of one answer


def without_tail(response: str) -> str:
    """The response without the end tokens and the whitespace at its end."""
    end, before = len(response.rstrip()), -1
    while end != before:
        before = end
        for token in END_TOKENS:
            end -= len(token) * response.endswith(token, 0, end)
        while end and response[end - 1].isspace():
            end -= 1
    return response[:end]


def boxed_on_one_line(response: str) -> Iterator[str]:
    """What stands between each \\boxed{ and the first closing brace of the same line."""
    position = response.find("\\boxed{")
    while position >= 0:
        start = position + len("\\boxed{")
        closed = response.find("}", start, start + MAX_LENGTH)
        if closed >= 0 and response.find("\n", start, closed) < 0:
            yield response[start:closed].strip()
            start = closed
        position = response.find("\\boxed{", start)


def last_boxed(response: str) -> str | None:
    """The content of the last \\boxed{}, braces balanced; the whole response where there is no box at all.

    None where the last box never closes.
    """
    if "\\boxed " in response:
        return response[response.rindex("\\boxed ") + len("\\boxed ") :].partition("$")[0][:MAX_LENGTH]
    opened = response.rfind("\\boxed")
    if opened < 0:
        opened = response.rfind("\\fbox")
    if opened < 0:
        return response
    depth = 0
    for offset, character in enumerate(response[opened : opened + MAX_LENGTH]):
        depth += (character == "{") - (character == "}")
        if depth == 0 and character == "}":
            box = response[opened : opened + offset + 1]
            return box.removeprefix("\\boxed{")[:-1] if box.startswith("\\boxed{") else box
    return None


def first_tagged(response: str) -> str | None:
    """What stands between the first <answer> and the </answer> behind it."""
    _, opened, rest = response.partition("<answer>")
    content, closed, _ = rest.partition("</answer>")
    return content.strip() if opened and closed else None
