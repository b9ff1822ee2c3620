"""The hub through `datasets`, here a stand-in: which sets are asked for, and one line where there is no network."""

import sys
from types import SimpleNamespace
from urllib.error import HTTPError, URLError

import pytest

from dopsd.task import GSM8K, Countdown, Math500, Sudoku
from dopsd.task.countdown.puzzles import split_of
from dopsd.task.source import hub

GSM = {"question": "How many?", "answer": "Two.\n#### 2"}
MATH = {"problem": "Solve", "solution": "It is \\boxed{2}.", "level": "Level 1", "type": "Algebra"}
TABLES = {
    ("openai/gsm8k", "main", "train"): [GSM | {"question": f"How many {n}?"} for n in range(20)],
    ("openai/gsm8k", "main", "test"): [GSM],
    ("HuggingFaceH4/MATH-500", None, "test"): [MATH | {"problem": "Solve test 3", "answer": "2"}],
    ("Jiayi-Pan/Countdown-Tasks-3to4", None, "train"): [
        *({"target": t, "nums": [t, 1, 1]} for t in range(1, 200)),
        {"target": 3, "nums": [1, 1, 1, 1]},
    ],
}


@pytest.fixture
def online(monkeypatch):
    asked = []

    def load_dataset(name, configuration, *, split):
        asked.append((name, configuration, split))
        if name == "EleutherAI/hendrycks_math":
            return [MATH | {"problem": f"{configuration} {split} {n}"} for n in range(3)] + [
                MATH | {"problem": "Solve test 3"}
            ]
        return TABLES[name, configuration, split]

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    monkeypatch.setattr(hub, "check_reachable", lambda name: None)
    return asked


def test_gsm8k_comes_from_openai(online):
    task = GSM8K(dev=5)
    assert [len(task.examples(split)) for split in ("train", "dev", "test")] == [15, 5, 1]
    assert set(online) == {key for key in TABLES if key[0] == "openai/gsm8k"}


def test_math_is_all_of_math_without_math500(online):
    task = Math500(dev=5)
    prompts = [it.prompt for split in ("train", "dev") for it in task.examples(split)]
    assert len(prompts) == 7 * 2 * 3
    assert not any("Solve test 3" in prompt for prompt in prompts)
    assert [it.gold for it in task.examples("test")] == ["2"]


def test_countdown_keeps_three_numbers_and_our_test_share(online):
    task = Countdown(source="hub", dev=20, test=30)
    assert len(task.examples("test")) == 30
    assert len(task.examples("dev")) == 20
    for split in ("train", "dev", "test"):
        for it in task.examples(split):
            assert len(it.gold.numbers) == 3
            assert (split_of(it.gold.numbers, it.gold.target) == "test") == (split == "test")
            assert it.solution is None


@pytest.mark.parametrize(
    "error", [URLError("no route"), TimeoutError("slow"), ValueError("unknown url type")]
)
def test_without_network_one_line_says_what_is_needed(monkeypatch, error):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)

    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(hub, "urlopen", refuse)
    with pytest.raises(
        ValueError,
        match=r"^task.source=hub: needs the data set openai/gsm8k [^\n]*task.source=files task.path=FOLDER[^\n]*$",
    ):
        GSM8K()


def test_any_answer_of_the_hub_will_do(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)

    def answer(request, timeout):
        raise HTTPError(request.full_url, 405, "not allowed", {}, None)

    monkeypatch.setattr(hub, "urlopen", answer)
    hub.check_reachable("openai/gsm8k")


def test_offline_the_cache_is_asked_and_its_error_told_in_one_line(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def load_dataset(name, configuration, *, split):
        raise ConnectionError("Couldn't reach it\nOffline mode")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    with pytest.raises(
        ValueError, match=r"^task.source=hub: needs [^\n]*Couldn't reach it Offline mode[^\n]*$"
    ):
        GSM8K()


def test_sudoku_has_no_set_there():
    with pytest.raises(ValueError, match=r"^task.source='hub': must be one of files, generated$"):
        Sudoku(source="hub")
