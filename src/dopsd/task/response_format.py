"""How far a response keeps to the format, whatever its answer is worth: shares from 0 to 1, by name."""

from dopsd.task.verdict import Verdict

_TAGS = ("<reasoning>", "</reasoning>", "<answer>", "</answer>")


def format_parts(verdict: Verdict, response: str) -> dict[str, float]:
    """`integer`: the answer is digits alone; `soft_format`: it begins as <reasoning>..</reasoning><answer>..</answer>.

    `strict_format`: nothing but space stands around these; `tags`: the share of the four tags that stand there once;
    `answer_tag`: there is an <answer>; `boxed`: there is a \\boxed{.
    """
    behind = _behind_the_answer(response)
    return {
        "integer": float((verdict.answer or "").isdecimal()),
        "soft_format": float(behind is not None),
        "strict_format": float(behind is not None and not behind.strip()),
        "tags": sum(response.count(tag) == 1 for tag in _TAGS) / len(_TAGS),
        "answer_tag": float("<answer>" in response),
        "boxed": float("\\boxed{" in response),
    }


def _behind_the_answer(response: str) -> str | None:
    """What follows reasoning and answer; None where these are not what it begins with."""
    opened, _, rest = response.lstrip().partition("<reasoning>")
    _, reasoned, rest = rest.partition("</reasoning>")
    between, _, rest = rest.partition("<answer>")
    _, answered, behind = rest.partition("</answer>")
    return behind if reasoned and answered and not opened and not between.strip() else None
