"""The evaluate command: a table over weights and lengths, whose figures are those of the samples it leaves."""

import json
import re
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
from dopsd.report.answers import read_shares
from dopsd.task import Countdown, Sudoku, Verdict

PUZZLES = ("task.max_number=4", "task.dev=4", "task.test=6", "model.init=random", "block_length=4")
KEYS = {"id", "prompt", "response", "verdict", "score", "tokens", "forwards"}


@pytest.fixture(autouse=True)
def _half_correct(monkeypatch: pytest.MonkeyPatch) -> None:
    """A verdict by a response's text, so that a random model has right, wrong and absent answers."""

    def verdict(self: Countdown, example: object, response: str) -> Verdict:
        kind = sum(map(ord, response)) % 4
        return Verdict(accepted=kind < 2, score=float(kind < 2), answered=kind != 2)

    monkeypatch.setattr(Countdown, "verdict", verdict)


def samples_in(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "samples.jsonl").read_text().splitlines()]


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
    assert "seeds 1, 2 pooled" in ran.out

    weights = f"checkpoint={sweep / 'seed=1' / 'weights'}"
    baseline = f"baseline={there / names[2]}"
    ran = run(
        capsys, "evaluate", weights, "eval_limit=null", baseline, f"hydra.run.dir={tmp_path / 'of_one'}"
    )
    assert ran.code == 0, ran.err
    rows = read_json(tmp_path / "of_one" / "evaluation.json")["rows"]
    assert [row["title"] for row in rows] == ["best", "final"]
    first, second = read_shares(there / names[2]), read_shares(tmp_path / "of_one" / "final")
    expected = PairedComparison.of(first, second)
    assert rows[1]["comparison"]["difference"] == pytest.approx(expected.difference)
    assert str(expected) in " ".join(ran.out.split())
    assert samples_in(tmp_path / "of_one" / "final") == samples_in(there / names[0])

    monkeypatch.setattr(job.Student, "load", lambda plan: pytest.fail("a comparison loads no model"))
    pair = f"compare={there / names[2]},{tmp_path / 'of_one' / 'final'}"
    ran = run(capsys, "evaluate", pair, f"hydra.run.dir={tmp_path / 'compared'}")
    assert ran.code == 0, ran.err
    saved = read_json(tmp_path / "compared" / "comparison.json")["comparison"]
    assert saved == rows[1]["comparison"]
    assert re.search(r"second - first", ran.out)

    for typed, line in (
        (
            f"compare={there},{there}",
            f"compare={there}: holds 4 evaluations, name one of {there / names[1]}, ",
        ),
        ("compare=here", "compare=[here]: must be two evaluations, [A,B]"),
        ("compare=here,there", "compare=here: must be an evaluation's or a run's directory"),
    ):
        ran = run(capsys, "evaluate", typed, f"hydra.run.dir={tmp_path / 'nothing'}")
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert ran.err.startswith(f"dopsd: {line}")


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
    expected = PairedComparison.of(read_shares(alone), read_shares(beside))
    assert figures["comparison"] == json.loads(json.dumps(asdict(expected)))
    assert figures["speedup"] == pytest.approx(approximate["samples_per_s"] / exact["samples_per_s"])
    assert 0 < figures["tokens_that_differ"] < 1
    page = Page((beside / "evaluation.html").read_text(encoding="utf-8")).text
    for text in (" ".join(ran.out.split()), page):
        assert "against exact decoding" in text
        assert f"{100 * figures['tokens_that_differ']:.1f} %" in text
        assert f"{100 * expected.difference:+.1f} points" in text

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
    assert f"{100 * row['extras']['cells']:.1f} % (chance {100 * row['chance']['cells']:.1f} %)" in ran.out


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
