"""A process that is stopped is seen by the others; one that ends or starts late is not taken for lost."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack

import pytest
import torch.distributed as dist

from reddit.training import heartbeat as heartbeats
from reddit.training.distributed import World
from reddit.training.heartbeat import beating, heartbeat


def never(rank: int, seconds: float) -> None:
    raise AssertionError("not lost")


def test_a_silent_process_is_lost_once() -> None:
    store, lost = dist.HashStore(), []
    with ExitStack() as stack:
        stack.enter_context(beating(store, World(1, 3), 0.6, lambda *found: None))
        stack.enter_context(beating(store, World(0, 3), 0.4, lambda *found: lost.append(found)))
        time.sleep(1.5)  # nothing of process 2
    assert len(lost) == 1
    assert lost[0][0] == 2 and 0.4 < lost[0][1] < 1.0


def test_a_process_that_has_ended_is_not_lost() -> None:
    store, lost = dist.HashStore(), []
    with beating(store, World(0, 2), 0.4, lambda *found: lost.append(found)):
        with beating(store, World(1, 2), 0.4, never):
            time.sleep(0.5)
        time.sleep(1.0)
    assert not lost


def test_a_process_that_was_suspended_itself_gives_the_others_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole run that is suspended and continued goes on."""
    store, lost, late = dist.HashStore(), [], [0.0]
    monkeypatch.setattr(heartbeats.time, "monotonic", lambda now=time.monotonic: now() + late[0])
    with beating(store, World(0, 2), 2.0, lambda *found: lost.append(found)):
        store.add("1", 1)
        time.sleep(1.2)
        late[0] = 1000.0
        time.sleep(1.2)
        store.add("1", 1)
        time.sleep(0.6)
    assert not lost


def test_alone_or_without_a_limit_nothing_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with heartbeat(World(), 60), heartbeat(World(0, 2), 0):
        pass


def test_a_stopped_process_ends_another(capfd: pytest.CaptureFixture[str]) -> None:
    """Two forked processes; the second one is stopped by SIGSTOP, the first one ends by itself."""
    server = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    environment = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(server.port)}
    children = []
    for rank in (0, 1):
        child = os.fork()
        if child == 0:
            os.environ.update(environment, RANK=str(rank))
            with heartbeat(World(rank, 2, "try again"), 1.0):
                time.sleep(30)
            os._exit(0)
        children.append(child)
    first, second = children
    try:
        time.sleep(1.5)
        assert os.waitpid(first, os.WNOHANG) == (0, 0)  # both live
        os.kill(second, signal.SIGSTOP)
        stopped, (ended, status) = time.monotonic(), os.waitpid(first, 0)
        assert ended == first and os.waitstatus_to_exitcode(status) == 2
        assert 0.5 < time.monotonic() - stopped < 10
    finally:
        os.kill(second, signal.SIGKILL)
        os.waitpid(second, 0)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("error: process 0: process 1 has shown no sign of life for 1 s: it is stopped, or")
    assert line.endswith("; try again; train.lost_after sets the limit")
