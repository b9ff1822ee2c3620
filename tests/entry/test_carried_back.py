"""A mistake in a job that a launcher has taken to another process still ends the command in one line."""

import copy

import pytest

from dopsd.config.errors import ElsewhereError, UserError
from dopsd.entry import command


def fails() -> None:
    with command.carried_back():
        raise UserError("model.path=nowhere: is no directory")


def test_elsewhere_it_is_an_exception_that_pickles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_is_here", False)
    with pytest.raises(ElsewhereError) as raised:
        fails()
    assert str(copy.copy(raised.value)) == "model.path=nowhere: is no directory"


def test_here_it_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_is_here", True)
    with pytest.raises(UserError, match=r"model\.path=nowhere"):
        fails()


def test_the_command_ends_in_its_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def job(config: object, hydra: object) -> None:
        raise ElsewhereError("model.path=nowhere: is no directory")

    monkeypatch.setattr("sys.argv", ["train", "model.init=random", "hydra.run.dir=."])
    with pytest.raises(SystemExit) as exit_:
        command.command(job, "train")
    assert exit_.value.code == 2
    assert capsys.readouterr().err == "dopsd: model.path=nowhere: is no directory\n"
