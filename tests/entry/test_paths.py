"""A path of any characters goes from the shell to the config as it is, and from there into a command to paste."""

import shlex
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from dopsd.config.paths import OUTPUTS, PATHS, SWEEP, resume_command
from dopsd.config.saved import written_out
from dopsd.entry.arguments import read_arguments
from dopsd.entry.sweep import commands_of, job_directory

ANY = st.characters(codec="utf-8", exclude_characters="\0/\x85")  # YAML reads a NEL as a space
NAMES = st.text(ANY, min_size=1, max_size=30) | st.text(
    " =,()[]{}$'\"\\#:~+@!%&*é\n", min_size=1, max_size=12
)
WORDS = ("null", "true", "false", "???", ".", "..")


def read(argument: str, entry: str = "evaluate") -> object:
    """The value that Hydra and OmegaConf make of an argument, also after the config was saved."""
    (override,) = (OverridesParser.create().parse_override(a) for a in read_arguments([argument], entry))
    config = OmegaConf.create({"key": override.value()})
    saved = OmegaConf.create(OmegaConf.to_yaml(written_out(config)))
    assert saved.key == config.key
    return config.key


@given(name=NAMES)
def test_the_printed_command_leads_back_to_the_path(name: str) -> None:
    _, _, module, argument = shlex.split(resume_command(Path("runs") / name))
    assert (module, read(argument, "train")) == ("dopsd.train", str(Path("runs") / name))
    assert Path(str(read(shlex.split(resume_command(Path(name)))[3], "train"))) == Path(name)


@given(key=st.sampled_from(PATHS), name=NAMES)
def test_every_path_is_read_as_the_shell_passes_it(key: str, name: str) -> None:
    is_quoted_by_hand = len(name) > 1 and name[0] == name[-1] and name[0] in "'\""
    is_interpolated = key in OUTPUTS and "${" in name
    if key not in ("compare", "runs") and name not in WORDS and not is_quoted_by_hand and not is_interpolated:
        assert read(f"{key}={name}") == name


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("gen_length=8", 8),
        ("gen_length=8,16", [8, 16]),
        ("gen_length=[8,16]", [8, 16]),
        ("checkpoint=null", None),
        ("checkpoint='it is'", "it is"),
        ("html=true", True),
        ("compare=plain,it's b", ["plain", "it's b"]),
        ("compare=[plain,rho=0.1,seed=1]", ["plain", "rho=0.1,seed=1"]),
        ("compare=rho=0.1,seed=1,rho=0.1,seed=1", ["rho=0.1,seed=1", "rho=0.1,seed=1"]),
        ("compare='plain','plain'", ["plain", "plain"]),
        ("compare=null", None),
    ],
)
def test_several_values(typed: str, value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("rho=0.1,seed=1", "it's b", "plain"):
        Path(name).mkdir()
    assert read(typed) == value


def test_flags_come_first_and_a_comma_sweeps() -> None:
    assert read_arguments(["seed=1,2", "-m", "checkpoint=a b,c=d"], "evaluate") == [
        *("-m", "seed=1,2", "checkpoint=a b,'c=d'"),
    ]


@given(names=st.lists(st.text(min_size=1), unique=True))
def test_directories_of_jobs_are_short_single_and_different(names: list[str]) -> None:
    made = [job_directory(name * times) for name in names for times in (1, 40)]
    assert all(len(name.encode()) <= 100 and "/" not in name for name in made)
    assert len({job_directory(name) for name in names}) == len(names)
    assert job_directory("seed=1") == "seed=1"


def test_a_sweep_is_resumed_job_by_job(tmp_path: Path) -> None:
    jobs = [{"directory": f"seed={seed}", "overrides": [f"seed={seed}"]} for seed in (1, 2, 3)]
    jobs.append({"directory": "rho=2", "overrides": ["rho=2"], "refused": "rho=2: must be less"})
    (tmp_path / SWEEP).write_text(yaml.safe_dump(jobs))
    for name, file in (("seed=1", "summary.json"), ("seed=1", "config.yaml"), ("seed=2", "config.yaml")):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / file).touch()
    third = ["seed=3", f"hydra.run.dir='{tmp_path}/seed=3'"]
    assert list(commands_of([f"resume={tmp_path}"], "train")) == [[f"resume='{tmp_path}/seed=2'"], third]
    longer = list(commands_of([f"resume={tmp_path}", "max_steps=9"], "train"))
    assert longer[0] == [f"resume='{tmp_path}/seed=1'", "max_steps=9"]
    assert len(longer) == 3
    assert resume_command(tmp_path / "seed=2") == resume_command(tmp_path)


def test_runs_are_cut_at_the_commas_that_leave_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("rho=0.1,seed=1", "rho=0.1,seed=2", "a"):
        Path(name).mkdir()
    assert read("runs=rho=0.1,seed=1,a,rho=0.1,seed=2", "report") == ["rho=0.1,seed=1", "a", "rho=0.1,seed=2"]
    assert read("runs=a", "report") == ["a"]
    assert read("runs=a,nowhere", "report") == ["a", "nowhere"]
