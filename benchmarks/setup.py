"""What benchmarks share: a method outside Lightning's loop, networks of any shape, this machine, saved results."""

import itertools
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import MethodType
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from torch.profiler import ProfilerActivity, profile

import dopsd.model
from dopsd.entry.composing import CONF
from dopsd.job import Plan, Student
from dopsd.method.method import Method
from dopsd.stream import Draw, TrainingStream

LLADA_VOCABULARY = 126_464
RESULTS = Path(__file__).parent / "results"


def load(overrides: Sequence[str]) -> tuple[Any, list[Draw]]:
    """The method that `python -m dopsd.train OVERRIDES` would train, with its optimizer, and its first batch.

    Random weights are drawn on the device: on the CPU those of a large network would take minutes.
    """
    with initialize_config_dir(CONF, version_base="1.3"):
        plan = Plan.of(compose("train", list(overrides)))
    is_random = plan.model.arguments["init"] == "random"
    with torch.device(plan.device) if is_random else nullcontext():
        student = Student.load(plan)
    method = student.method().to(plan.device)
    optimizer = method.configure_optimizers()
    method.optimizers = lambda **_: optimizer
    method.manual_backward = lambda loss: loss.backward()
    method.logged = {}
    method.log_step = MethodType(_log, method)
    method.network.train()
    settings = plan.settings
    stream = TrainingStream(plan.task.examples("train"), length=settings.prompts_per_step, seed=settings.seed)
    return method, [stream[number] for number in range(settings.prompts_per_step)]


def _log(method: Method, values: dict[str, Any]) -> None:
    method.logged.update({key: float(value) for key, value in values.items()})


def load_student(overrides: Sequence[str]) -> tuple[Plan, Student]:
    """What `python -m dopsd.evaluate OVERRIDES` would decode with."""
    with initialize_config_dir(CONF, version_base="1.3"):
        plan = Plan.of(compose("evaluate", list(overrides)))
    return plan, Student.load(plan)


def wide_vocabulary(directory: Path) -> str:
    """A checkpoint directory of the embedded network with LLaDA's vocabulary (no weights: use model.init=random)."""
    return shaped(directory, vocab_size=LLADA_VOCABULARY)


def shaped(directory: Path, *, vocab_size: int, **shape: int) -> str:
    """A checkpoint directory without weights: the embedded network's tokenizer, and its config with another shape."""
    embedded = Path(dopsd.model.__file__).parent / "tiny"
    for file in embedded.glob("tokenizer*.json"):
        shutil.copy(file, directory)
    config = json.loads((embedded / "config.json").read_text())
    config |= {"vocab_size": vocab_size, "embedding_size": vocab_size, **shape}
    (directory / "config.json").write_text(json.dumps(config))
    return str(directory)


def machine() -> dict[str, Any]:
    """What results are taken on."""
    known = {"cpu": cpu_name(), "threads": torch.get_num_threads(), "torch": torch.__version__}
    if torch.cuda.is_available():
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        driver = subprocess.run(query, capture_output=True, text=True, check=False).stdout.split()
        known |= {
            "gpu": torch.cuda.get_device_name(),
            "cuda": torch.version.cuda,
            "driver": " ".join(driver[:1]),
        }
    return known


def live_memory_gb(work: Callable[[], Any]) -> float:
    """How many gigabytes of tensors work holds at most at one time beyond those before it, as a GPU's counter has it.

    The process's own peak depends on what the heap keeps as well.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiled:
        work()
    with tempfile.TemporaryDirectory() as directory:
        trace = Path(directory) / "trace.json"
        profiled.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    allocated = sorted((it["ts"], it["args"]["Bytes"]) for it in events if it["name"] == "[memory]")
    return max(itertools.accumulate(size for _, size in allocated)) / 1e9


def in_own_process(script: str, *arguments: str) -> dict[str, Any]:
    """What a benchmark measures when it is called with arguments: the last line that it prints, as JSON."""
    command = [sys.executable, script, *arguments]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def save(name: str, results: dict[str, Any]) -> None:
    """Writes benchmarks/results/NAME.json."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(results, indent=2) + "\n")


def add(name: str, **results: Any) -> None:
    """Sets some keys of benchmarks/results/NAME.json, which may be there already."""
    file = RESULTS / f"{name}.json"
    save(name, (json.loads(file.read_text()) if file.exists() else {}) | results)


def cpu_name() -> str:
    """What /proc/cpuinfo calls the processor, or what Python does."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
