"""The page in docs/demo, in a real browser, with its own model and runtime."""

from __future__ import annotations

import base64
import dataclasses
import functools
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from browser import Tab
from repository import ROOT

import reddit

PAGE = ROOT / "docs" / "demo"
RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
VENDOR = (*RUNTIME, "light-1.onnx", "style.css")
needs_vendor = pytest.mark.skipif(
    not all((PAGE / "vendor" / name).exists() for name in VENDOR), reason="needs docs/demo/build.py"
)


class Handler(SimpleHTTPRequestHandler):
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=PAGE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/index.html"
    server.shutdown()


def drop(tab: Tab, picture: np.ndarray) -> None:
    data = base64.b64encode(cv2.imencode(".png", picture[..., ::-1])[1].tobytes()).decode()
    tab.evaluate(
        f"{{ const bytes = Uint8Array.from(atob('{data}'), c => c.charCodeAt(0)), data = new DataTransfer();"
        "data.items.add(new File([bytes], 'night.png', {type: 'image/png'}));"
        "dispatchEvent(new DragEvent('drop', {dataTransfer: data, cancelable: true})); 0 }"
    )


def result(tab: Tab, seconds: float = 120) -> np.ndarray:
    """The picture after enhancing, RGB uint8."""
    end = time.monotonic() + seconds
    while tab.evaluate("document.getElementById('result').hidden"):
        said = tab.evaluate("document.getElementById('status').textContent")
        assert "not" not in said and time.monotonic() < end, said
        time.sleep(0.1)
    data = tab.evaluate("document.getElementById('after').toDataURL('image/png')").partition(",")[2]
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded[..., ::-1]


def photograph(longest: int) -> np.ndarray:
    path = Path(skimage.data.__file__).parent / "chelsea.png"
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert picture is not None
    scale = longest / max(picture.shape[:2])
    return (cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) // 5)[..., ::-1]


@needs_vendor
@pytest.mark.parametrize("longest", [256, 720])  # 720: with the brightness of a small copy
def test_it_does_what_enhance_does(tab: Tab, address: str, longest: int) -> None:
    tab.open(address, width=1280)
    low = np.ascontiguousarray(photograph(longest))
    drop(tab, low)
    exact = dataclasses.replace(reddit.load("light"), precision="fp32")
    difference = np.abs(result(tab).astype(int) - exact.enhance(low))
    assert difference.max() <= 2 if longest <= 640 else difference.mean() < 0.5
    tab.evaluate("strength.value = 0, strength.oninput()")
    assert np.array_equal(result(tab), low)
    assert tab.errors == []


@needs_vendor
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits(tab: Tab, address: str, width: int) -> None:
    tab.open(address, width=width, dark=width == 390)
    assert tab.overflow() == []
    drop(tab, np.ascontiguousarray(photograph(256)))
    result(tab)
    assert tab.overflow() == [] and tab.errors == []


@needs_vendor
def test_what_is_no_picture_is_said(tab: Tab, address: str) -> None:
    tab.open(address, width=1280)
    tab.evaluate(
        "{ const data = new DataTransfer(); data.items.add(new File(['x'], 'notes.txt'));"
        "dispatchEvent(new DragEvent('drop', {dataTransfer: data, cancelable: true})); 0 }"
    )
    end = time.monotonic() + 20
    while "notes.txt cannot be read" not in tab.evaluate("document.getElementById('status').textContent"):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert tab.errors == []
