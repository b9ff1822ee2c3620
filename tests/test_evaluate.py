"""The evaluate command: a table over weights and lengths, whose figures are those of the samples it leaves."""

import json
from dataclasses import asdict
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import QUICK, read_json, run, small_model

from dopsd import job
from dopsd.chat import Chat, encode_prompt
from dopsd.diffusion.sampler import BlockSampler
from dopsd.diffusion.special_tokens import SpecialTokens
from dopsd.evaluation.decode import evaluate
from dopsd.evaluation.differing import differing
from dopsd.evaluation.paired import PairedComparison
from dopsd.model import MaskedDiffusionLM, load_model, load_tokenizer
from dopsd.task import Countdown, Sudoku, Verdict

PUZZLES = ("task.max_number=4", "task.dev=4", "task.test=6", "model.init=random", "block_length=4")
KEYS = {
    *("id", "prompt", "gold", "response", "extracted", "verdict", "score", "metrics", "tokens", "forwards"),
    *("weights", "training_step"),
}


@pytest.fixture(autouse=True)
def _half_correct(monkeypatch: pytest.MonkeyPatch) -> None:
    """A verdict by a response's text, so that a random model has right, wrong and absent answers; a wide terminal."""

    def verdict(self: Countdown, example: object, response: str) -> Verdict:
        kind = sum(map(ord, response)) % 4
        answer = None if kind == 2 else response[:3]
        return Verdict(accepted=kind < 2, score=float(kind < 2), answered=kind != 2, answer=answer)

    monkeypatch.setattr(Countdown, "verdict", verdict)
    monkeypatch.setenv("COLUMNS", "500")


def samples_in(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "samples.jsonl").read_text().split("\n") if line]


def compared(first: Path, second: Path) -> PairedComparison:
    """By the verdicts in their samples."""
    right = [
        {it["id"]: float(it["verdict"] == "correct") for it in samples_in(path)} for path in (first, second)
    ]
    return PairedComparison.of(*right)


def cells_of(out: str, column: str) -> list[str]:
    """The cells of one column of a table on a wide terminal."""
    lines = out.splitlines()
    (head,) = [line.strip("┃").split("┃") for line in lines if line[:1] == "┃"]
    rows = [line.strip("│").split("│") for line in lines if line[:1] == "│"]
    return [row[[name.strip() for name in head].index(column)].strip() for row in rows]


class Page(HTMLParser):
    """The text of a page, its tags, and whatever it would fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.tags, self.fetched = "", [], []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_lengths_and_samples(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = (*PUZZLES, model, "temperature=1.0", "samples=4", "html=true")
    ran = run(capsys, "evaluate", *many, "gen_length=8,16", f"hydra.run.dir={tmp_path / 'both'}")
    assert ran.code == 0, ran.err
    report = read_json(tmp_path / "both" / "evaluation.json")
    assert [(row["gen_length"], row["denoising_steps"]) for row in report["rows"]] == [(8, 8), (16, 16)]
    for row in report["rows"]:
        samples = samples_in(tmp_path / "both" / row["name"])
        assert samples[0].keys() >= KEYS
        assert {(it["weights"], it["training_step"]) for it in samples} == {("model", None)}
        assert all((it["extracted"] is None) == (it["verdict"] == "no_answer") for it in samples)
        golds = {it.id: str(it.gold) for it in Countdown(max_number=4, dev=4, test=6).examples("test")}
        assert {it["id"]: it["gold"] for it in samples} == golds
        assert [sample["attempt"] for sample in samples] == [0, 1, 2, 3] * 6
        words = [sample["verdict"] for sample in samples]
        assert row["verdicts"] == {word: words.count(word) for word in row["verdicts"]}
        assert row["verdicts"].keys() == {"correct", "wrong", "no_answer"}
        assert row["accuracy"] == pytest.approx(words.count("correct") / 24)
        assert row["n"] == 6
        solved = {sample["id"] for sample in samples if sample["verdict"] == "correct"}
        assert row["pass_at_k"]["4"]["accuracy"] == pytest.approx(len(solved) / 6)
        assert row["pass_at_k"]["1"]["accuracy"] == row["accuracy"]
        assert sum(row["length_histogram"]["counts"]) == 24
        assert row["mean_tokens"] == pytest.approx(sum(sample["tokens"] for sample in samples) / 24)
        assert row["samples_per_s"] > 0
        assert row["settings"]["evaluation_sampler"]["gen_length"] == row["gen_length"]
    assert report["manifest"].keys() == {"versions", "device", "dtype", "attention", "git"}
    assert (report["manifest"]["dtype"], report["manifest"]["attention"]) == ("float32", "sdpa")
    assert report["rows"][0]["dataset"] == report["rows"][1]["dataset"]
    assert all(column in ran.out for column in ("length", "pass@2", "pass@4", "forwards", "samples/s"))

    page = Page((tmp_path / "both" / "evaluation.html").read_text(encoding="utf-8"))
    assert page.fetched == []
    assert page.tags.count("svg") == 2
    assert not {"script", "link", "img"} & set(page.tags)
    assert f"gold answer: {next(iter(golds.values()))}" in page.text
    first = samples_in(tmp_path / "both" / "gen_length=8")[0]
    assert " ".join(first["prompt"].split()) in " ".join(page.text.split())

    alone = (*many[:-1], "gen_length=16", "eval_batch_tokens=1", f"hydra.run.dir={tmp_path / 'one'}")
    assert run(capsys, "evaluate", *alone).code == 0
    assert samples_in(tmp_path / "one") == samples_in(tmp_path / "both" / "gen_length=16")
    assert not (tmp_path / "one" / "evaluation.html").exists()


def test_directories_of_runs_and_baselines(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = tmp_path / "a,b=c"  # Hydra's own names of jobs look like this
    training = (*QUICK, *PUZZLES, model, "lr=0.5", "seed=1,2", f"hydra.sweep.dir='{sweep}'")
    ran = run(capsys, "train", "--multirun", *training)
    assert ran.code == 0, ran.err
    (sweep / "seed=3").mkdir()
    (sweep / "seed=3" / "config.yaml").write_text("command: {}")  # has not got as far as weights

    there = tmp_path / "evaluation"
    again = ("weights=final", "eval_limit=null", "gen_length=8,12")
    ran = run(capsys, "evaluate", f"checkpoint={sweep}", *again, f"hydra.run.dir={there}")
    assert ran.code == 0, ran.err
    report = read_json(there / "evaluation.json")
    names = [f"seed={seed}/gen_length={length}" for seed in (1, 2) for length in (8, 12)]
    assert [row["name"] for row in report["rows"]] == names
    assert [row["denoising_steps"] for row in report["rows"]] == [4, 6, 4, 6]
    assert [pool["rows"] for pool in report["pooled"]] == [names[0::2], names[1::2]]
    for pool in report["pooled"]:
        accuracies = [row["accuracy"] for row in report["rows"] if row["name"] in pool["rows"]]
        assert pool["accuracy"] == pytest.approx(sum(accuracies) / 2)
        assert pool["seeds"] == [1, 2]
        assert pool["title"] == "seeds 1, 2 pooled"
    assert cells_of(ran.out, "run") == [*("seed=1", "seed=1", "seed=2", "seed=2"), *["seeds 1, 2 pooled"] * 2]
    assert cells_of(ran.out, "length") == ["8", "12"] * 3
    assert [row["training_step"] for row in report["rows"]] == [1] * 4
    assert "final (step 1)" in ran.out

    weights = f"checkpoint={sweep / 'seed=1' / 'weights'}"
    baseline = f"baseline={there / names[2]}"
    ran = run(
        capsys, "evaluate", weights, "eval_limit=null", baseline, f"hydra.run.dir={tmp_path / 'of_one'}"
    )
    assert ran.code == 0, ran.err
    rows = read_json(tmp_path / "of_one" / "evaluation.json")["rows"]
    summary = read_json(sweep / "seed=1" / "summary.json")
    assert [row["title"] for row in rows] == [
        f"best (step {summary['best']['training_step']})",
        "final (step 1)",
    ]
    expected = compared(there / names[2], tmp_path / "of_one" / "final")
    assert rows[1]["comparison"]["difference"] == pytest.approx(expected.difference)
    assert str(expected) in cells_of(ran.out, "against the baseline")
    assert f"baseline: final (step 1) of {there / names[2] / 'samples.jsonl'} (n = 6)" in ran.out
    assert samples_in(tmp_path / "of_one" / "final") == samples_in(there / names[0])

    monkeypatch.setattr(job.Student, "load", lambda plan: pytest.fail("a comparison loads no model"))
    pair = f"compare={there / names[2]},{tmp_path / 'of_one' / 'final'}"
    ran = run(capsys, "evaluate", pair, f"hydra.run.dir={tmp_path / 'compared'}")
    assert ran.code == 0, ran.err
    saved = read_json(tmp_path / "compared" / "comparison.json")["comparison"]
    assert saved == rows[1]["comparison"]
    assert cells_of(ran.out, "second - first") == [str(expected)]

    for typed, line in (
        (
            f"compare={there},{there}",
            f"compare={there}: holds 4 evaluations or runs, name one of {there / names[1]}, ",
        ),
        ("compare=[a,b,c]", "compare=[a,b,c] must be two evaluations or runs, [A,B], or one run"),
        ("compare=here,there", "compare=here: must be an evaluation's or a run's directory"),
        (
            f"compare={there / names[0]}/none",
            f"compare={there / names[0]}/none: must be an evaluation's or a run's",
        ),
        (
            f"compare={sweep}",
            f"compare={sweep}: holds 2 evaluations or runs, name one of {sweep / 'seed=1'}, ",
        ),
    ):
        ran = run(capsys, "evaluate", typed, f"hydra.run.dir={tmp_path / 'nothing'}")
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert ran.err.startswith(f"dopsd: {line}")


def test_a_run_beside_itself_differs_by_nothing_and_weights_are_named(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = tmp_path / "run"
    training = (*QUICK, *PUZZLES, model, "lr=0.5", "max_steps=2", "eval_every=1", "eval_limit=null")
    assert run(capsys, "train", *training, f"hydra.run.dir={one}").code == 0
    summary = read_json(one / "summary.json")
    steps = {weights: summary[weights]["training_step"] for weights in ("base", "best", "final")}
    for weights in ("best", "final"):
        here = tmp_path / weights
        typed = (f"checkpoint={one}", f"baseline={one}", f"weights={weights}", "eval_limit=null")
        ran = run(capsys, "evaluate", *typed, "html=true", f"hydra.run.dir={here}")
        assert ran.code == 0, ran.err
        (row,) = read_json(here / "evaluation.json")["rows"]
        assert (row["weights"], row["training_step"]) == (weights, steps[weights])
        whose = {"weights": weights, "training_step": steps[weights], "n": 6}
        assert row["baseline"] == whose | {"file": str(one / "samples" / f"{weights}.jsonl")}
        assert {row["comparison"][key] for key in ("difference", "low", "high")} == {0.0}
        assert f"{weights} (step {steps[weights]}) of {one}" in ran.out
        page = Page((here / "evaluation.html").read_text(encoding="utf-8"))
        assert page.tags.count("section") == 2 * page.tags.count("article") == 2 * 6

    for typed, pair in (
        ((f"compare={one}",), ("base", "best")),
        ((f"compare={one}", "weights=final"), ("base", "final")),
        ((f"compare={one},{one}",), ("best", "best")),
        ((f"compare={one},{one}", "weights=base"), ("base", "base")),
        ((f"compare={one / 'samples' / 'base.jsonl'},{one / 'weights' / 'final'}",), ("base", "final")),
    ):
        where = tmp_path / "compared"
        ran = run(capsys, "evaluate", *typed, "html=true", f"hydra.run.dir={where}")
        assert ran.code == 0, ran.err
        content = read_json(where / "comparison.json")
        assert tuple(content[which]["weights"] for which in ("first", "second")) == pair
        expected = summary[pair[1]]["accuracy"] - summary[pair[0]]["accuracy"]
        assert content["comparison"]["difference"] == pytest.approx(expected)
        assert (where / "comparison.html").exists()
        for which in ("first", "second"):
            assert f"{which}: {content[which]['weights']}" in ran.out
            assert content[which]["file"] in ran.out

    for typed, line in (
        ((f"checkpoint={one}", "weights=base"), f"checkpoint={one}: weights=base are the model as it is"),
        ((f"compare={one}", "weights=last"), "weights=last: must be one of base, best, final"),
    ):
        ran = run(capsys, "evaluate", *typed, f"hydra.run.dir={tmp_path / 'nothing'}")
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert ran.err.startswith(f"dopsd: {line}")


def test_rows_carry_what_differs_between_them(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = tmp_path / "runs"
    sizes = ("task.train=8", "task.dev=4", "task.test=6", "model.init=random")
    training = (*QUICK, *sizes, model, "task=countdown,sudoku", f"hydra.sweep.dir={sweep}")
    assert run(capsys, "train", "--multirun", *training).code == 0
    ran = run(
        capsys, "evaluate", f"checkpoint={sweep}", "weights=final", f"hydra.run.dir={tmp_path / 'both'}"
    )
    assert ran.code == 0, ran.err
    rows = read_json(tmp_path / "both" / "evaluation.json")["rows"]
    assert [(row["task"], row["metric"], row["n"]) for row in rows] == [
        ("countdown", "correct", 6),
        ("sudoku", "exact", 6),
    ]
    assert cells_of(ran.out, "task") == ["countdown", "sudoku"]
    assert cells_of(ran.out, "metric") == ["correct", "exact"]
    assert [bool(cell) for cell in cells_of(ran.out, "cells")] == [False, True]
    head = next(line for line in ran.out.splitlines() if line[:1] == "┃")
    assert not any(column in head for column in ("model", "grader", "seed", "split", "length", "weights"))
    title = f"accuracy on test (n = 6, 95 % intervals); final (step 1) of {sweep}, model tiny, grader strict"
    assert title in " ".join(ran.out.split())


def test_only_the_same_examples_are_compared(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = (*PUZZLES, model, "gen_length=8")
    assert run(capsys, "evaluate", *small, "eval_limit=4", f"hydra.run.dir={tmp_path / 'four'}").code == 0
    ran = run(
        capsys, "evaluate", *small, f"baseline={tmp_path / 'four'}", f"hydra.run.dir={tmp_path / 'six'}"
    )
    assert ran.code == 2
    assert ran.err == (
        f"dopsd: baseline={tmp_path / 'four'}: 0 ids stand only in the first, 2 only in the second, 4 in both: "
        "only answers to the same examples are compared\n"
    )


def test_approximate_decoding_stands_beside_exact_decoding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = (*PUZZLES[:3], "model=tiny")
    beside, alone, named = (tmp_path / name for name in ("beside", "alone", "named"))
    ran = run(capsys, "evaluate", *small, "cache=dual", "html=true", f"hydra.run.dir={beside}")
    assert ran.code == 0, ran.err
    assert run(capsys, "evaluate", *small, f"hydra.run.dir={alone}").code == 0
    exact, approximate = read_json(beside / "evaluation.json")["rows"]
    assert (exact["title"], approximate["title"]) == ("model, exact", "model, cache=dual")
    assert samples_in(beside / exact["name"]) == samples_in(alone) != samples_in(beside)
    figures = approximate["beside_exact"]
    assert figures["row"] == exact["name"]
    assert exact["beside_exact"] is None
    expected = compared(alone, beside)
    assert figures["comparison"] == json.loads(json.dumps(asdict(expected)))
    assert figures["speedup"] == pytest.approx(approximate["samples_per_s"] / exact["samples_per_s"])
    assert 0 < figures["tokens_that_differ"] < 1
    page = Page((beside / "evaluation.html").read_text(encoding="utf-8")).text
    assert cells_of(ran.out, "decoding") == ["exact", "cache=dual"]
    for column, cell in (
        ("against exact decoding", str(expected)),
        ("tokens that differ", f"{100 * figures['tokens_that_differ']:.1f} %"),
    ):
        assert cells_of(ran.out, column) == ["", cell]
        assert column in page
        assert cell in page

    ran = run(capsys, "evaluate", *small, "cache=dual", f"baseline={alone}", f"hydra.run.dir={named}")
    assert ran.code == 0, ran.err
    (row,) = read_json(named / "evaluation.json")["rows"]
    assert samples_in(named) == samples_in(beside)
    assert (row["comparison"], row["beside_exact"]) == (figures["comparison"], None)


def test_where_numbers_are_rounded_the_effect_of_the_batch_is_measured(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = MaskedDiffusionLM.forward

    def depends_on_the_batch(self: MaskedDiffusionLM, canvas: torch.Tensor, *given: Any, **named: Any) -> Any:
        return forward(self, torch.cat([canvas[:4], canvas[4:].roll(1, -1)]), *given, **named)

    monkeypatch.setattr(MaskedDiffusionLM, "forward", depends_on_the_batch)
    small = (*PUZZLES, "task.test=17", model, "gen_length=8", "seed=3")

    def evaluated(dtype: str) -> tuple[str, dict[str, Any] | None]:
        ran = run(capsys, "evaluate", *small, f"model.dtype={dtype}", f"hydra.run.dir={tmp_path / dtype}")
        assert ran.code == 0, ran.err
        (row,) = read_json(tmp_path / dtype / "evaluation.json")["rows"]
        return ran.out, row["batch_effect"]

    out, effect = evaluated("float32")
    assert effect is None
    assert "one at a time" not in out

    out, effect = evaluated("bfloat16")
    network = load_model(model.partition("=")[2], dtype="bfloat16", init="random", seed=3)
    special = SpecialTokens(mask_id=network.mask_id, eos_id=network.eos_id, end_ids=network.end_ids)
    task = Countdown(max_number=4, dev=4, test=17)
    decoded = partial(
        evaluate,
        network,
        task=task,
        examples=task.examples("test"),
        chat=Chat(tokenizer=load_tokenizer("tiny"), special=special),
        sampler=BlockSampler(gen_length=8, block_length=4, denoising_steps=8),
        seed=3,
    )
    together, alone = (decoded(batch_size=size).samples[:16] for size in (128, 1))
    share = differing([sample.answer for sample in together], [sample.answer for sample in alone])
    assert 0 < share < 1
    assert effect == {"dtype": "bfloat16", "examples": 16, "tokens_that_differ": share}
    assert f"answers {100 * share:.1f} % (model, length 8) differ from those decoded one at a time" in out


def test_sudokus_cells_stand_beside_their_chance_level(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = (
        "task=sudoku",
        "task.dev=4",
        "task.test=12",
        "model.init=random",
        "block_length=4",
        "gen_length=8",
    )
    ran = run(capsys, "evaluate", *small, model, f"hydra.run.dir={tmp_path / 'run'}")
    assert ran.code == 0, ran.err
    (row,) = read_json(tmp_path / "run" / "evaluation.json")["rows"]
    task = Sudoku(dev=4, test=12)
    assert row["chance"] == task.chance(task.examples("test"))
    assert (row["metric"], row["accuracy"]) == ("exact", row["metrics"]["exact"]["accuracy"])
    cells = row["metrics"]["cells"]
    interval = f"{100 * cells['accuracy']:.1f} % [{100 * cells['low']:.1f}, {100 * cells['high']:.1f}]"
    assert cells_of(ran.out, "cells") == [f"{interval} (chance {100 * row['chance']['cells']:.1f} %)"]


def test_prompts_that_are_too_long_are_refused_or_counted(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = Path(model.partition("=")[2])
    tokenizer = load_tokenizer(directory)
    prompts = [len(encode_prompt(tokenizer, it.prompt)) for it in Countdown(test=40).examples("test")]
    longest = max(prompts)
    config = json.loads((directory / "config.json").read_text())
    shorter = tmp_path / "model"
    small_model(shorter)
    (shorter / "config.json").write_text(json.dumps(config | {"max_sequence_length": longest - 1 + 8}))
    too_long = prompts.count(longest)
    assert 0 < too_long < 40
    command = ("evaluate", f"model.path={shorter}", "model.init=random", "task.test=40", "gen_length=8")
    ran = run(capsys, *command, "split=test", f"hydra.run.dir={tmp_path / 'refused'}")
    assert ran.code == 2
    assert ran.err == (
        f"dopsd: long_prompts=refuse: {too_long} of 40 test prompts have more than {longest - 1} tokens "
        f"(the model's {longest + 7} less gen_length=8); long_prompts=skip leaves them out and counts them\n"
    )
    assert not (tmp_path / "refused").exists()
    ran = run(capsys, *command, "long_prompts=skip", f"hydra.run.dir={tmp_path / 'skipped'}")
    assert ran.code == 0, ran.err
    row = read_json(tmp_path / "skipped" / "evaluation.json")["rows"][0]
    assert (row["n"], row["long_prompts_left_out"]) == (40 - too_long, too_long)
