"""The report as one page that needs nothing else: no script, no font, no picture from elsewhere."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from dopsd.evaluation.decode import Sample
from dopsd.report.report import header, lines, name_of, notes

_SHOWN = 8  # samples of each row
_WIDTH, _HEIGHT, _MARGIN = 640, 160, 24  # of a histogram, in pixels
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1c1c1c}"
    "table{border-collapse:collapse}td,th{padding:.3rem .8rem;border-bottom:1px solid #ddd;text-align:left}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f6f6f6;padding:.6rem}svg text{font-size:11px}"
)


def page(content: Mapping[str, Any], samples: Sequence[Sequence[Sample]]) -> str:
    """HTML of a report; `samples` are those of each row, of which a few are shown."""
    title = f"{content['rows'][0]['task']}: {content['rows'][0]['split']}"
    return "".join(
        (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
            f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>",
            f"<p>{escape(_sentence(content))}</p>",
            _table(header(content), lines(content)),
            *(f"<p>{escape(note)}</p>" for note in notes(content)),
            "<h2>Lengths of the answers</h2>",
            *(_histogram(row) for row in content["rows"]),
            "<h2>Samples</h2>",
            *(_samples(row, of) for row, of in zip(content["rows"], samples, strict=True)),
            "<h2>Manifest</h2>",
            _pre(content["manifest"]),
            "<h2>Settings</h2>",
            *(_details(name_of(row), _pre(row["settings"])) for row in content["rows"]),
            "</body></html>\n",
        )
    )


def _sentence(content: Mapping[str, Any]) -> str:
    first = content["rows"][0]
    data = ", ".join(dict.fromkeys(row["dataset"]["fingerprint"][:16] for row in content["rows"]))
    return (
        f"Model {first['model']}, n = {first['n']} problems, {first['samples']} samples of each at temperature "
        f"{first['temperature']}. Data {data}. Command: {' '.join(content['overrides'])}"
    )


def _table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    titles = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


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
            f'<rect x="{i * slot + 1:.1f}" y="{top:.1f}" width="{slot - 2:.1f}" height="{height:.1f}" fill="#1f5fa8">'
            f"<title>{hint}</title></rect>"
            f'<text x="{i * slot + 2:.1f}" y="{_HEIGHT - 8}">{i * width}</text>'
            + (f'<text x="{i * slot + 2:.1f}" y="{top - 3:.1f}">{count}</text>' if count else "")
        )
    name = escape(name_of(row))
    drawn = f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="lengths">{"".join(bars)}</svg>'
    return f"<figure><figcaption>{name} (tokens)</figcaption>{drawn}</figure>"


def _samples(row: Mapping[str, Any], samples: Sequence[Sample]) -> str:
    shown = "".join(
        f"<p><b>{escape(sample.verdict)}</b> {escape(sample.id)}</p>"
        f"<pre>{escape(sample.prompt)}</pre><pre>{escape(sample.response)}</pre>"
        for sample in samples[:_SHOWN]
    )
    return _details(name_of(row), shown)


def _details(title: str, inside: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{inside}</details>"


def _pre(content: Any) -> str:
    return f"<pre>{escape(json.dumps(content, indent=2, ensure_ascii=False))}</pre>"
