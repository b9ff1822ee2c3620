"""A saved config names this project's code, or code of modules that are trusted: by where it is defined."""

import pytest
from omegaconf import OmegaConf

from dopsd.config.errors import UserError
from dopsd.config.trust import ForeignCodeError, trusted_nodes

FOREIGN = {  # and the module that could be trusted (none of Python's own)
    "os.system": None,
    "builtins.eval": None,
    "eval": None,
    "subprocess.Popen": None,
    "dopsdx.task.Countdown": "dopsdx.task",
    "lightningx.Trainer": "lightningx",
    "torch.load": "torch",
    "torch.optimx.Adam": "torch.optimx",
    "${command}": None,
    "dopsd.config.saved.Path": None,
    "dopsd.task.source.hub.urlopen": None,
    "dopsd.task.__class__": None,
    "dopsd.config.build.import_module": None,
    "dopsd.entry.rank._note": "dopsd.entry.rank",
    "lightning.fabric.utilities.cloud_io._load": "lightning.fabric.utilities.cloud_io",
    "lightning.pytorch.cli.LightningCLI": "lightning.pytorch.cli",
}
MODULE = """
import os
from pathlib import Path
from dopsd.task import Countdown

class Mine(Countdown):
    pass

def make():
    return Mine()
"""


def taken(target, trust=None, typed=()):
    saved = OmegaConf.create(
        {"task": {"_target_": target}, "command": "os.system", "other": {"_target_": "os.kill"}}
    )
    return trusted_nodes(
        saved, ["task"], trust=OmegaConf.create({"t": trust}).t, subject="checkpoint=x", typed=typed
    )


@pytest.mark.parametrize("target", FOREIGN)
def test_foreign_code_is_refused_in_one_line(target):
    with pytest.raises(ForeignCodeError) as refused:
        taken(target)
    line = refused.value.message
    assert line.startswith(f"checkpoint=x: config.yaml names {target}, which is not part of dopsd")
    module = FOREIGN[target]
    assert line.endswith(f"; trust={module} allows it" if module else "of dopsd")


@pytest.mark.parametrize("target", ["dopsd.entry.rank.os", "dopsd.config.trust.re", "dopsd.nothing.Task"])
def test_what_is_no_class_or_function_is_refused_in_one_line(target):
    with pytest.raises(
        ForeignCodeError, match=rf"^checkpoint=x: config.yaml names {target}, which cannot be imported"
    ):
        taken(target)


@pytest.mark.parametrize(
    "target", ["dopsd.task.Countdown", "dopsd.model.load_model", "lightning.Trainer", "torch.optim.AdamW"]
)
def test_our_own_code_needs_no_trust(target):
    assert taken(target) == {"task": {"_target_": target}}


@pytest.fixture
def package(tmp_path, monkeypatch):
    for name in ("mine/__init__.py", "mine/tasks.py", "mine2.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("target", "trust", "is_allowed"),
    [
        ("mine.tasks.Mine", "mine.tasks", True),
        ("mine.tasks.Mine", "mine", True),
        ("mine.tasks.make", ["os", "mine"], True),
        ("mine.Mine", "mine.tasks", False),
        ("mine.tasks.Mine", "mine.task", False),
        ("mine2.Mine", "mine", False),
        ("mine.tasks.os.system", "mine", False),
        ("mine.tasks.Path", "mine", False),
        ("mine.tasks.Countdown", "mine", True),
        ("mine.nothing.Mine", "mine", False),
        ("mine.tasks.Nothing", "mine", False),
    ],
)
def test_trust_is_in_a_module_and_what_stands_below_it(target, trust, is_allowed):
    if is_allowed:
        assert taken(target, trust) == {"task": {"_target_": target}}
        return
    with pytest.raises(ForeignCodeError, match=r"^checkpoint=x: config.yaml names [^\n]*$"):
        taken(target, trust)


def test_nothing_foreign_is_imported_to_find_that_out(tmp_path, monkeypatch):
    (tmp_path / "leaves_a_trace.py").write_text(f"open({str(tmp_path / 'trace')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ForeignCodeError):
        taken("leaves_a_trace.Anything")
    assert not (tmp_path / "trace").exists()


def test_a_target_in_a_list_or_behind_a_reference_is_found_and_a_typed_one_is_the_users_own():
    nested = OmegaConf.create({"task": [{"inner": {"_target_": "os.kill"}}], "whole": "${task}"})
    for key in nested:
        with pytest.raises(ForeignCodeError, match=r"names os\.kill"):
            trusted_nodes(nested, [str(key)], trust=None, subject="resume=x")
    assert taken("os.system", typed=["task._target_"]) == {"task": {"_target_": "os.system"}}


@pytest.mark.parametrize("trust", [5, "", "a b", "a/b.py", ["a", None], [["a"]], True])
def test_what_is_no_module_is_refused(trust):
    with pytest.raises(UserError) as refused:
        taken("dopsd.task.Countdown", trust)
    assert str(refused.value).startswith("trust=")
