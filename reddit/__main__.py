"""`python -m reddit` is the command `reddit-llie`."""

from reddit.cli.main import entry_point

entry_point()
