"""A mistake of the user: one line and exit code 2, never a traceback."""

EXIT_CODE = 2


class UserError(SystemExit):
    """Ends the program (and a whole sweep) with one line that names the key, the value and what is allowed."""

    def __init__(self, message: str):
        super().__init__(EXIT_CODE)
        self.message = " ".join(message.split())

    def __str__(self) -> str:
        return self.message


class ElsewhereError(Exception):
    """A UserError of a job that a launcher runs in another process: only an Exception finds its way back from there."""


class EscapingError(BaseException):
    """An error of our own on its way through Hydra, which would turn it into a warning or a line."""

    def __init__(self, error: Exception):
        super().__init__(error)
        self.error = error


class Interruption(KeyboardInterrupt):
    """Ctrl-C during a run, with a line that says where its files are and how to go on."""

    def __init__(self, message: str):
        super().__init__(message)
        self.message = message
