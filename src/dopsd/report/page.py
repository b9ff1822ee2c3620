"""The report as one page that needs nothing else: no script, no font, no picture from elsewhere."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from dopsd.report.report import header, lines, name_of, notes, title
from dopsd.report.shown import ShownAnswers, shown_answers

_WIDTH, _HEIGHT, _MARGIN = 640, 160, 24  # of a histogram, in pixels
STYLE = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")


def page(content: Mapping[str, Any], answers: Sequence[ShownAnswers]) -> str:
    """HTML of a report; of `answers` a few are shown, the baseline's before those of the rows."""
    heading, _, common = title(content).partition("; ")
    return _document(
        heading,
        _paragraph(common),
        _paragraph(f"Data {_data(content)}. Command: {' '.join(content['overrides'])}"),
        _table(header(content), lines(content)),
        *map(_paragraph, notes(content)),
        *_answers(answers),
        "<h2>Lengths of the answers</h2>",
        *(_histogram(row) for row in content["rows"]),
        "<h2>Manifest</h2>",
        _pre(content["manifest"]),
        "<h2>Settings</h2>",
        *(_details(name_of(row), _pre(row["settings"])) for row in content["rows"]),
    )


def comparison_page(
    heading: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    notes: Sequence[str],
    answers: Sequence[ShownAnswers],
) -> str:
    """HTML of a paired comparison, with some of the answers compared."""
    return _document(heading, _table(head, rows), *map(_paragraph, notes), *_answers(answers))


def _document(heading: str, *parts: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(heading)}</title><style>{STYLE}</style></head>"
        f"<body><h1>{escape(heading)}</h1>{''.join(parts)}</body></html>\n"
    )


def _data(content: Mapping[str, Any]) -> str:
    return ", ".join(dict.fromkeys(row["dataset"]["fingerprint"][:16] for row in content["rows"]))


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _answers(answers: Sequence[ShownAnswers]) -> Iterator[str]:
    yield "<h2>Answers</h2>"
    if len(answers) > 1:
        yield _paragraph("A few prompts; those on which verdicts differ come first.")
    yield from shown_answers(answers)


def _table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    titles = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<div class=table><table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>"


def _histogram(row: Mapping[str, Any]) -> str:
    """Bars of answers by their number of tokens."""
    width, counts = row["length_histogram"]["width"], row["length_histogram"]["counts"]
    slot, most = _WIDTH / len(counts), max(counts)
    bars = []
    for i, count in enumerate(counts):
        height = count / most * (_HEIGHT - 2 * _MARGIN)
        top = _HEIGHT - _MARGIN - height
        hint = escape(f"{i * width} to {(i + 1) * width - 1} tokens: {count}")
        bars.append(
            f'<rect x="{i * slot + 1:.1f}" y="{top:.1f}" width="{slot - 2:.1f}" height="{height:.1f}" class="bar">'
            f"<title>{hint}</title></rect>"
            f'<text x="{i * slot + 2:.1f}" y="{_HEIGHT - 8}">{i * width}</text>'
            + (f'<text x="{i * slot + 2:.1f}" y="{top - 3:.1f}">{count}</text>' if count else "")
        )
    name = escape(name_of(row))
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    drawn = f'<svg {size} class="lengths" role="img" aria-label="lengths">{"".join(bars)}</svg>'
    return f"<figure><figcaption>{name} (tokens)</figcaption>{drawn}</figure>"


def _details(title: str, inside: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{inside}</details>"


def _pre(content: Any) -> str:
    return f"<pre>{escape(json.dumps(content, indent=2, ensure_ascii=False))}</pre>"
