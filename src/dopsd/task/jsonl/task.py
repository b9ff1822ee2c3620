"""A task from a file: a prompt in each row, and a function that judges responses."""

from collections.abc import Mapping
from typing import Any

from dopsd.task.jsonl.splits import FilesAndShares
from dopsd.task.jsonl.verifier import Verifier
from dopsd.task.row_task import RowTask
from dopsd.task.source.held_out import drawn
from dopsd.task.source.row import Record, RowError, short, text_of
from dopsd.task.task import check_share

_PROMPT = ("prompt", "messages")
_NOT_GOLD = (*_PROMPT, "response")


class Jsonl(RowTask):
    """Rows with a prompt (a text, or one message of the user) and whatever the verifier wants to know.

    A column `response` is a reference solution.
    """

    name = "jsonl"
    fields = ()

    def __init__(
        self,
        *,
        path: str,
        verifier: str,
        accept_score: float = 1.0,
        dev_share: float = 0.1,
        test_share: float = 0.1,
        limit: int | None = None,
    ) -> None:
        """Raises ValueError for a value out of range, data that cannot be read or a verifier that does not work."""
        check_share("task.accept_score", accept_score)
        source = FilesAndShares(path, key=_key, dev_share=dev_share, test_share=test_share)
        verify = Verifier(verifier, accept_score=accept_score)
        verify.check(self.gold(source.first))
        super().__init__(source, limit=limit, grade=verify, prompt_template=None)

    def gold(self, row: Record) -> dict[str, Any]:
        """The columns that the verifier is given."""
        return {name: value for name, value in row.values.items() if name not in _NOT_GOLD}

    def prompt_fields(self, row: Record, gold: Any) -> Mapping[str, object]:
        """The prompt."""
        return {"prompt": _prompt_of(row)}

    def default_prompt(self, fields: Mapping[str, object]) -> str:
        """The prompt as it is."""
        return str(fields["prompt"])

    def stem(self, row: Record, gold: Any) -> str:
        """A digest of the prompt."""
        return drawn(_prompt_of(row)).hex()

    def solution(self, row: Record, gold: Any) -> str | None:
        """The response, where there is one."""
        response = row.optional("response")
        return None if response is None else text_of(response, "response")


def _key(row: Record) -> str:
    """What tells one problem from another; a row that has no prompt is left out later, whatever split it is in."""
    row.get(*_PROMPT)
    try:
        return _prompt_of(row)
    except RowError:
        return row.where


def _prompt_of(row: Record) -> str:
    """The message of the user; raises RowError for anything else."""
    value = row.get(*_PROMPT)
    if isinstance(value, list):
        value = _only_message(value)
    return text_of(value, "prompt")


def _only_message(turns: list[Any]) -> Any:
    match turns:
        case [{"role": "user", "content": content}]:
            return content
    raise RowError(f"the messages are {short(turns)}, not one message of the user")
