"""Builds the method of a command line outside Lightning's loop, so that one step can be timed and inspected."""

import json
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import MethodType

from hydra import compose, initialize_config_dir

import dopsd.model
from dopsd.entry.composing import CONF
from dopsd.job import Plan, Student
from dopsd.method.dopsd import DOPSD
from dopsd.stream import Draw, TrainingStream

LLADA_VOCABULARY = 126_464


def load(overrides: Sequence[str]) -> tuple[DOPSD, list[Draw]]:
    """The method that `python -m dopsd.train OVERRIDES` would train, with its optimizer, and its first batch."""
    with initialize_config_dir(CONF, version_base="1.3"):
        plan = Plan.of(compose("train", list(overrides)))
    student = Student.load(plan)
    method = plan.method(network=student.network, chat=student.chat, task=plan.task)
    optimizer = method.configure_optimizers()
    method.optimizers = lambda **_: optimizer
    method.manual_backward = lambda loss: loss.backward()
    method.logged = {}
    method.log_step = MethodType(lambda self, values: self.logged.update(values), method)
    method.network.train()
    settings = plan.settings
    stream = TrainingStream(plan.task.examples("train"), length=settings.prompts_per_step, seed=settings.seed)
    return method, [stream[number] for number in range(settings.prompts_per_step)]


def load_student(overrides: Sequence[str]) -> tuple[Plan, Student]:
    """What `python -m dopsd.evaluate OVERRIDES` would decode with."""
    with initialize_config_dir(CONF, version_base="1.3"):
        plan = Plan.of(compose("evaluate", list(overrides)))
    return plan, Student.load(plan)


def wide_vocabulary(directory: Path) -> str:
    """A checkpoint directory of the embedded network with LLaDA's vocabulary (no weights: use model.init=random)."""
    embedded = Path(dopsd.model.__file__).parent / "tiny"
    for file in embedded.glob("tokenizer*.json"):
        shutil.copy(file, directory)
    config = json.loads((embedded / "config.json").read_text())
    config |= {"vocab_size": LLADA_VOCABULARY, "embedding_size": LLADA_VOCABULARY}
    (directory / "config.json").write_text(json.dumps(config))
    return str(directory)


def cpu_name() -> str:
    """What /proc/cpuinfo calls the processor, or what Python does."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
