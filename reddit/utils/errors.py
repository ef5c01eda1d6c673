"""The exceptions that end a command in one line."""


class UserError(Exception):
    """An error the user can fix: one line that says what, where and how to fix it.

    The commands print it and exit with code 2; a library user may catch it.
    """


def install(extra: str) -> str:
    """The command that installs an extra of this package, for messages."""
    return f"pip install 'reddit-llie[{extra}]'"


class Stopped(Exception):  # noqa: N818 -- nothing went wrong
    """A run was stopped by a signal, after saving everything.

    The commands print it and exit with `code`: 128 plus the signal's number, as shells expect.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
