"""What the report shows of answers that are anything at all."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from dopsd.evaluation.decode import Evaluation, Sample
from dopsd.report.page import page
from dopsd.report.report import report
from dopsd.report.row import ReportRow, length_histogram
from dopsd.report.shown import ShownAnswers

SETTINGS = {
    **{"checkpoint": None, "weights": "best", "split": "test", "gen_length": 8, "block_length": 4},
    **{"denoising_steps": 4, "temperature": 0.0, "samples": 1, "seed": 1},
}


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.opened.append(tag)


def page_of(response: str) -> str:
    sample = Sample(
        id=response,
        prompt=response,
        gold=response,
        response=response,
        extracted=response,
        verdict="wrong",
        accepted=False,
        score=0.0,
        metrics={"correct": 0.0},
        answer=(3, 4, 5),
        forwards=2,
    )
    evaluation = Evaluation(samples=[sample], metric="correct")
    row = ReportRow(
        name="",
        run=response,
        weights="best",
        training_step=3,
        decoding="",
        evaluation=evaluation,
        seconds=1.0,
        too_long=0,
        unusable=0,
        chance={},
        fingerprint="f",
        arms={"task": "gsm8k", "model": "tiny"},
        settings=SETTINGS | {"name": response, "task": {"grader": "strict"}},
    )
    shown = [ShownAnswers.of(response, evaluation)]
    return page(report([row], overrides=[response], manifest={"git": response}), shown)


@given(
    st.text()
    | st.sampled_from(["<script>alert(1)</script>", "</pre><img src=x>", '"><svg onload=1>', "&lt;"])
)
def test_no_answer_can_write_the_page(response: str) -> None:
    assert Tags(page_of(response)).opened == Tags(page_of("harmless")).opened


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.integers(0, n)))))
def test_every_answer_is_in_its_bin(case: tuple[int, list[int]]) -> None:
    gen_length, tokens = case
    histogram = length_histogram(tokens, gen_length)
    width, counts = histogram["width"], histogram["counts"]
    assert len(counts) <= 16
    assert counts == [sum(i * width <= t < (i + 1) * width for t in tokens) for i in range(len(counts))]
    assert sum(counts) == len(tokens)
