"""The one exception for anything that a user can get wrong."""


class UserError(Exception):
    """A mistake that a user can mend: one line that says what, where and the remedy.

    The scripts print it and leave with exit code 2; a library user may catch it.
    """
