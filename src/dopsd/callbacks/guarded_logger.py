"""A logger that may fail: the run goes on without it."""

from collections.abc import Callable, Mapping
from typing import Any

from lightning.pytorch.loggers.logger import Logger


class GuardedLogger(Logger):
    """Hands everything on to a logger until one of its calls fails, which is told in one line."""

    def __init__(self, make: Callable[[], Logger], *, title: str, say: Callable[[str], None]):
        super().__init__()
        self._title, self._say = title, say
        self._inner: Logger | None = None
        self.attempt(lambda: setattr(self, "_inner", make()))

    @property
    def name(self) -> str | None:
        """That of the logger."""
        return None if self._inner is None else self._inner.name

    @property
    def version(self) -> int | str | None:
        """That of the logger."""
        return None if self._inner is None else self._inner.version

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Hands them on."""
        self.hand_on(lambda logger: logger.log_metrics(dict(metrics), step))

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Hands them on."""
        self.hand_on(lambda logger: logger.log_hyperparams(params, *args, **kwargs))

    def save(self) -> None:
        """Has the logger write what it holds back."""
        self.hand_on(lambda logger: logger.save())

    def finalize(self, status: str) -> None:
        """Tells the logger how the training ended."""
        self.hand_on(lambda logger: logger.finalize(status))

    def hand_on(self, call: Callable[[Logger], object]) -> None:
        """Calls something with the logger, as long as there is one."""
        inner = self._inner
        if inner is not None:
            self.attempt(lambda: call(inner))

    def attempt(self, call: Callable[[], object]) -> None:
        """Calls something; where it fails, in whatever way, the logger is left out from then on."""
        try:
            call()
        except Exception as error:  # a service, a disk or a library of others: nothing to lose a training for
            self._inner = None
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            self._say(f"WARNING: logger={self._title} failed, the run goes on without it ({reason})")
