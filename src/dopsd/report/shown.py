"""A few answers for a reader: each prompt once, with its gold answer and what different weights answered to it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from dopsd.evaluation.decode import Evaluation
from dopsd.report.answers import Answers

_SHOWN = 8  # prompts of each data set
_WORDS = {
    "correct": "\N{CHECK MARK} correct",
    "wrong": "\N{BALLOT X} wrong",
    "no_answer": "\N{BALLOT X} no answer",
}


@dataclass(frozen=True, kw_only=True)
class ShownAnswers:
    """The first answer to each example, by its id, as samples.jsonl has them; `title` says whose they are."""

    title: str
    answers: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, title: str, evaluation: Evaluation) -> "ShownAnswers":
        """Those of an evaluation."""
        return cls(title=title, answers=_first_of_each(sample.as_dict() for sample in evaluation.samples))

    @classmethod
    def read(cls, answers: Answers, *, title: str | None = None) -> "ShownAnswers":
        """Those in a file, under its own title or another."""
        return cls(title=title or answers.title, answers=_first_of_each(answers.rows))


def shown_answers(columns: Sequence[ShownAnswers]) -> Iterator[str]:
    """HTML of some prompts of each data set, answers to the same prompt side by side; where they differ comes first."""
    by_data: dict[tuple[str, ...], list[ShownAnswers]] = {}
    for column in columns:
        by_data.setdefault(tuple(sorted(column.answers)), []).append(column)
    for of_these in by_data.values():
        ids = sorted(of_these[0].answers, key=lambda identity: len(_verdicts(of_these, identity)) == 1)
        yield from (_prompt(identity, of_these) for identity in ids[:_SHOWN])


def _first_of_each(rows: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        found.setdefault(str(row["id"]), row)
    return found


def _verdicts(columns: Sequence[ShownAnswers], identity: str) -> set[str]:
    return {str(column.answers[identity].get("verdict")) for column in columns}


def _prompt(identity: str, columns: Sequence[ShownAnswers]) -> str:
    first = columns[0].answers[identity]
    answers = "".join(_answer(column.title, column.answers[identity]) for column in columns)
    return (
        f"<article><h3>{escape(identity)}</h3><pre>{_text(first, 'prompt')}</pre>"
        f"<p>gold answer: <b>{_text(first, 'gold')}</b></p><div class=answers>{answers}</div></article>"
    )


def _answer(title: str, answer: Mapping[str, Any]) -> str:
    verdict = str(answer.get("verdict"))
    read = "nothing" if answer.get("extracted") is None else f"<b>{_text(answer, 'extracted')}</b>"
    kind = "right" if verdict == "correct" else "wrong"
    return (
        f"<section class={kind}><p><b class=verdict>{escape(_WORDS.get(verdict, verdict))}</b> {escape(title)}</p>"
        f"<p>read as the answer: {read}</p><pre>{_text(answer, 'response')}</pre></section>"
    )


def _text(answer: Mapping[str, Any], key: str) -> str:
    return escape(str(answer.get(key, "")))
