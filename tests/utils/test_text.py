from __future__ import annotations

import pytest

from reddit.utils.progress import print_err, print_out
from reddit.utils.text import LONGEST_SHOWN, printable, reason


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(28, "No space left on device", "/a/b"), "No space left on device"),
        (ValueError("one\ntwo"), "one"),
        (ValueError(""), "ValueError"),
        (ValueError("\x1b[31mred"), "\\x1b[31mred"),
    ],
)
def test_the_reason_of_an_error(error: Exception, text: str) -> None:
    assert reason(error) == text


def test_a_long_reason_is_cut() -> None:
    assert len(reason(RuntimeError("x" * 100_000))) == LONGEST_SHOWN + 1


def test_control_characters_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    odd = "a\x1b[2J\r\x07\u202e\udcffé\nb"
    assert printable(odd) == "a\\x1b[2J\\r\\x07\\u202e\\udcffé\nb"
    print_out(odd)
    print_err(odd)
    said = capsys.readouterr()
    assert said.out == said.err == printable(odd) + "\n"
