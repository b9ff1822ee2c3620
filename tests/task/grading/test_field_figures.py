"""On 2,142 real outputs of LLaDA-8B-Instruct the field graders give the field's figures, to the second decimal."""

import pytest

from dopsd.evaluation.generations import grade_file
from dopsd.task import GSM8K, Countdown, Math500, Sudoku

GRADERS = {task.name: task.graders for task in (Countdown, Sudoku, GSM8K, Math500)}
FIGURES = {"countdown": "20.70", "sudoku": "11.72", "gsm8k": "69.29", "math500": "26.00"}
ROWS = {"countdown": 256, "sudoku": 256, "gsm8k": 1130, "math500": 500}


def no_task():
    raise AssertionError("the rows have gold answers of their own")


@pytest.fixture(scope="module", params=FIGURES)
def grades(request, real_data):
    return graded(request.param, real_data)


def graded(task, data):
    file = data / "llada_8b_instruct_generations" / f"{task}_128.jsonl"
    return grade_file(task, GRADERS[task], file, no_task)


def test_the_field_grader_gives_the_fields_figure(grades):
    assert len(grades.rows) == ROWS[grades.task]
    assert f"{100 * grades.accuracy('field').accuracy:.2f}" == FIGURES[grades.task]


def test_the_two_graders_differ_on_few_rows(grades):
    assert len(grades.disagreements) <= 0.04 * len(grades.rows)


def test_what_the_strict_grader_accepts_beyond_the_field_is_few_and_right(real_data):
    """Spelling is all that keeps the field from these."""
    grades = graded("math500", real_data)
    assert not any(graded.verdicts["field"].accepted for graded in grades.disagreements)
    golds = {graded.gold for graded in grades.disagreements}
    assert {"58,500", "\\$36", "\\text{(C)}", "\\frac{3}{2}", "\\frac14"} <= golds
