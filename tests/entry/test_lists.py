"""What is typed for several values, and for paths, in Hydra's own spelling."""

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from dopsd.entry.lists import with_lists


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("rho=0.1,seed=1", "it's b", "plain"):
        Path(name).mkdir()


def read(argument: str) -> object:
    """The value as Hydra reads it."""
    return OverridesParser.create().parse_override(with_lists([argument])[0]).value()


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("gen_length=8", 8),
        ("gen_length=8,16", [8, 16]),
        ("gen_length=[8,16]", [8, 16]),
        ("checkpoint=rho=0.1,seed=1", "rho=0.1,seed=1"),
        ("checkpoint=it's b", "it's b"),
        ("checkpoint=null", None),
        ("baseline=plain", "plain"),
        ("compare=plain,it's b", ["plain", "it's b"]),
        ("compare=[plain,rho=0.1,seed=1]", ["plain", "rho=0.1,seed=1"]),
        ("compare=rho=0.1,seed=1,rho=0.1,seed=1", ["rho=0.1,seed=1", "rho=0.1,seed=1"]),
        ("compare=plain", ["plain"]),
        ("compare=null", None),
        ("compare='plain','plain'", ["plain", "plain"]),
    ],
)
def test_values(argument: str, value: object) -> None:
    assert read(argument) == value


@pytest.mark.parametrize("arguments", [["-m", "gen_length=8,16"], ["rho=0.1,0.2"], ["--help"], ["split=dev"]])
def test_everything_else_stays_as_it_is(arguments: list[str]) -> None:
    assert with_lists(arguments) == arguments
