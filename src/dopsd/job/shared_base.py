"""The base model's answers on test, decoded once for all jobs of a sweep that would decode the same."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from dopsd import ranks
from dopsd.config.saved import written_out
from dopsd.files import write_text
from dopsd.job.display import Display
from dopsd.job.run_directory import RunDirectory

_ONLY_TRAINING = (
    *("command", "debug", "experiment", "hydra", "logger", "method", "name", "paths", "resume", "rollout"),
    *("objective", "learning", "schedule", "optimizer", "divergence", "clip", "teacher", "teacher_weights"),
    *("remasking", "threshold", "end_of_text", "cfg_scale", "cache", "trust", "states"),
    *("topk", "rho", "max_attempts", "temperature", "lr", "max_steps", "prompts_per_step", "gradient_clip"),
    *("answers", "learn_from", "order", "tail", "max_mask_ratio", "block_lengths"),
    *("entropy_weight", "entropy_temperature"),
    *("updates_per_rollout", "states_per_trajectory", "micro_batch_tokens", "eval_every", "early_stopping"),
    *("stop_at", "curve_over", "callbacks"),
    *("source", "form", "tail"),
)
"""Keys that the answers before training do not depend on; any other key, known or new, tells jobs apart."""


@contextmanager
def shared_base(run: RunDirectory, config: DictConfig, display: Display) -> Iterator[None]:
    """Inside, the run already has the answers that an earlier job of its sweep left; else those it makes are left."""
    sweep = run.path.absolute().parent
    if not ranks.is_first() or not (sweep / "multirun.yaml").exists():
        yield
        return
    store, answers = sweep / ".base" / f"{_digest(config)}.jsonl", run.answers("base")
    if store.is_file() and not answers.exists():
        answers.parent.mkdir(exist_ok=True)
        write_text(answers, store.read_text(encoding="utf-8"))
        display.say("base, test: as an earlier job of this sweep has decoded it")
    yield
    if not store.is_file():
        store.parent.mkdir(exist_ok=True)
        write_text(store, answers.read_text(encoding="utf-8"))


def _digest(config: DictConfig) -> str:
    """Of all that the answers may depend on, the files that it names included."""
    whole = cast(dict[str, Any], OmegaConf.to_container(written_out(config), resolve=True))
    for key in _ONLY_TRAINING:
        whole.pop(key, None)
    sampler = whole["evaluation_sampler"]
    if sampler["temperature"] == 0 and sampler["remasking"] != "random":
        whole.pop("seed")  # nothing is drawn: neither here nor, as adapters start at zero, for them
        (whole.get("lora") or {}).pop("seed", None)
        if whole["model"].get("init") != "random":
            whole["model"].pop("seed", None)
    named = filter(None, _texts(whole))  # Path("") would be the current directory
    files = [stamp for text in named for stamp in _stamps(Path(text))]
    return sha256(json.dumps([whole, files], sort_keys=True).encode()).hexdigest()[:24]


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _texts(child)


def _stamps(path: Path) -> Iterator[tuple[str, int, int]]:
    """Size and time of a file, or of every file in a directory; nothing where the text is no path."""
    try:
        files = sorted(path.rglob("*")) if path.is_dir() else [path] if path.is_file() else []
        for file in files:
            yield str(file), file.stat().st_size, file.stat().st_mtime_ns
    except (OSError, ValueError):  # a text too long for a path, or with a zero in it
        return
