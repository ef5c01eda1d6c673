"""Chromium for tests of pages: its DevTools protocol over a pipe, so that no package is needed."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PROGRAM = next(filter(None, map(shutil.which, NAMES)), None) if os.name == "posix" else None
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
SECONDS = 60
"""How long an answer may take."""

_OVERFLOW = """
[...document.querySelectorAll("*")]
  .filter(one => !one.closest(".scroll table, pre *, svg, .viewer *, input, select"))
  .filter(one => one.getBoundingClientRect().right > WIDTH + 0.5
    || one.clientWidth && one.scrollWidth > one.clientWidth + 1 && !one.matches(".scroll, pre, .viewer"))
  .map(one => one.outerHTML.slice(0, 80))
"""


class Tab:
    """One page in a browser of its own."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        self._number = self._width = 0
        self._buffer = b""
        self.errors: list[str] = []
        self._session: str | None = None
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._call("Page.enable")
        self._call("Runtime.enable")
        self._call("Log.enable")

    def open(self, path: Path | str, *, width: int, dark: bool = False, height: int = 844) -> None:
        """Load a file, or an address, as a phone (below 600 CSS pixels) or a desktop shows it."""
        self._width, mobile = width, width < 600
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=2 if mobile else 1, mobile=mobile,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        self._call("Page.navigate", url=path if isinstance(path, str) else path.resolve().as_uri())
        while self._receive().get("method") != "Page.loadEventFired":
            pass

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression, as JSON holds it."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def overflow(self) -> list[str]:
        """What makes the page wider than the window; what scrolls inside a box of its own is left out."""
        return list(self.evaluate(_OVERFLOW.replace("WIDTH", str(self._width))))

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Save what is seen, or the whole page, as PNG."""
        answer = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def press(self, key: str, code: int) -> None:
        """Press and release a key where the focus is."""
        for kind in ("keyDown", "keyUp"):
            self._call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag the mouse between two places of the window, in CSS pixels."""
        for kind, (x, y), down in (
            ("mousePressed", start, 1), ("mouseMoved", end, 1), ("mouseReleased", end, 0)
        ):  # fmt: skip
            self._call(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=down, clickCount=1
            )

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._number:
            pass
        assert "error" not in answer, f"{method}: {answer['error']}"
        return dict(answer["result"])

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            assert select.select([self._reading], [], [], SECONDS)[0], "the browser does not answer"
            data = os.read(self._reading, 1 << 20)
            assert data, "the browser has ended"
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        self.errors.extend(_error(answer))
        return answer


def _error(message: dict[str, Any]) -> Iterator[str]:
    """What the console shows as an error."""
    parameters = message.get("params", {})
    match message.get("method"):
        case "Runtime.exceptionThrown":
            yield parameters["exceptionDetails"].get("exception", {}).get("description", "")
        case "Runtime.consoleAPICalled" if parameters["type"] == "error":
            yield " ".join(str(one.get("value", one.get("description"))) for one in parameters["args"])
        case "Log.entryAdded" if parameters["entry"]["level"] == "error":
            yield f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}"


@contextmanager
def browser(profile: Path, flags: Sequence[str] = FLAGS) -> Iterator[Tab]:
    """Start a browser and end it; `profile` is a folder for it alone."""
    import fcntl

    assert PROGRAM is not None
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (theirs_in, theirs_out)]
    os.close(theirs_in)
    os.close(theirs_out)

    def connect() -> None:
        os.dup2(ends[0], 3)  # where the protocol reads
        os.dup2(ends[1], 4)  # and writes

    started = subprocess.Popen(
        [PROGRAM, *flags, f"--user-data-dir={profile}", "about:blank"],
        pass_fds=(3, 4),
        preexec_fn=connect,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"HOME": str(profile)},
    )
    for end in ends:
        os.close(end)
    try:
        yield Tab(ours_in, ours_out)
    finally:
        os.close(ours_out)
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(10)
        started.kill()
        started.wait()
        os.close(ours_in)
