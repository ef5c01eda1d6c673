from __future__ import annotations

import os

import pytest

from reddit.utils.threads import SETTINGS, let_threads_sleep


@pytest.fixture(autouse=True)
def undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.setenv(name, "")  # so that it is restored
        monkeypatch.delenv(name)


def test_threads_sleep_by_default() -> None:
    assert let_threads_sleep()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


@pytest.mark.parametrize("name", SETTINGS)
def test_the_user_decides(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "7")
    assert not let_threads_sleep()
    assert {key: os.environ.get(key) for key in SETTINGS} == dict.fromkeys(SETTINGS) | {name: "7"}
