"""On 2,142 real outputs of LLaDA-8B-Instruct the field graders give the field's figures, to the second decimal."""

import pytest

from dopsd.evaluation.generations import grade_file

FIGURES = {"countdown": "20.70", "sudoku": "11.72", "gsm8k": "69.29", "math500": "26.00"}
ROWS = {"countdown": 256, "sudoku": 256, "gsm8k": 1130, "math500": 500}


def no_task():
    raise AssertionError("the rows have gold answers of their own")


@pytest.fixture(scope="module", params=FIGURES)
def grades(request, real_data):
    return grade_file(
        request.param, real_data / "llada_8b_instruct_generations" / f"{request.param}_128.jsonl", no_task
    )


def test_the_field_grader_gives_the_fields_figure(grades):
    assert len(grades.rows) == ROWS[grades.task]
    assert f"{100 * grades.accuracy('field').accuracy:.2f}" == FIGURES[grades.task]


def test_the_two_graders_differ_on_few_rows(grades):
    assert len(grades.disagreements) <= 0.04 * len(grades.rows)


def test_what_the_strict_grader_accepts_beyond_the_field_is_few_and_right(real_data):
    """Spelling is all that keeps the field from these."""
    grades = grade_file("math500", real_data / "llada_8b_instruct_generations" / "math500_128.jsonl", no_task)
    assert not any(graded.verdicts["field"].accepted for graded in grades.disagreements)
    golds = {graded.gold for graded in grades.disagreements}
    assert {"58,500", "\\$36", "\\text{(C)}", "\\frac{3}{2}", "\\frac14"} <= golds
