"""The exceptions that end a command in one line."""


class UserError(Exception):
    """A mistake that a user can mend: one line that says what, where and the remedy.

    The scripts print it and leave with exit code 2; a library user may catch it.
    """


class Stopped(Exception):  # noqa: N818 -- nothing went wrong
    """A run that ended early because it was asked to, everything saved.

    The scripts print it and leave with `code`, 128 and the signal's number, as shells expect.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
