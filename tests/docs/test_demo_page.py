"""The page of docs/demo in a browser: what it makes of a photograph is what `enhance` makes of it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from browser import Tab
from PIL import Image
from repository import ROOT

from reddit.inference.loading import load

PAGE = ROOT / "docs" / "demo"
MEAN, LARGEST = 0.5, 3
"""Tolerated differences from `enhance` in single precision, of 255."""

DROP = """
(async () => {
  const bytes = Uint8Array.from(atob("BYTES"), one => one.charCodeAt(0)), files = new DataTransfer();
  files.items.add(new File([bytes], "night.png", {type: "image/png"}));
  document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: files, bubbles: true, cancelable: true}));
  const over = () => viewer.classList.contains("done") || message.classList.contains("bad");
  const viewer = document.getElementById("viewer"), message = document.getElementById("message");
  await new Promise(next => setTimeout(next, 50));
  while (!over()) await new Promise(next => setTimeout(next, 50));
  if (!viewer.classList.contains("done")) return message.textContent;
  return document.getElementById("after").toDataURL("image/png");
})()
"""
SAVE = """
(async () => {
  const slider = document.getElementById("strength"), {click} = HTMLAnchorElement.prototype;
  slider.value = 50;
  slider.dispatchEvent(new Event("input"));
  const link = new Promise(next => HTMLAnchorElement.prototype.click = function () { next(this); });
  document.getElementById("save").click();
  const {href, download} = await link;
  HTMLAnchorElement.prototype.click = click;
  const bytes = new Uint8Array(await (await fetch(href)).arrayBuffer());
  return [download, btoa(Array.from(bytes, one => String.fromCharCode(one)).join(""))];
})()
"""
READY = """
(async () => {
  while (!document.body?.dataset.ready) await new Promise(next => setTimeout(next, 50));
  return crossOriginIsolated;
})()
"""


class _Quiet(SimpleHTTPRequestHandler):
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}

    def end_headers(self) -> None:  # as the service worker adds them
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where the page is served."""
    if not (PAGE / "vendor" / "examples.json").is_file():
        pytest.skip("needs ONNX Runtime Web and the network: python docs/demo/build.py")
    with served() as one:
        yield one


@contextmanager
def served() -> Iterator[str]:
    """Serve the page; gives its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(PAGE)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/index.html"
    server.shutdown()
    server.server_close()


def dark(width: int, height: int) -> np.ndarray:
    """The launch pad, enlarged or reduced."""
    with Image.open(PAGE / "vendor" / "launch_pad.jpg") as picture:
        return np.asarray(picture.convert("RGB").resize((width, height)))


def dropped(tab: Tab, picture: np.ndarray) -> np.ndarray:
    """What the page makes of a picture that is dropped on it."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png")
    answer = str(tab.evaluate(DROP.replace("BYTES", base64.b64encode(file.getvalue()).decode())))
    assert answer.startswith("data:"), answer
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(answer.split(",")[1]))).convert("RGB"))


@pytest.mark.parametrize(("width", "height"), [(120, 80), (660, 40)], ids=["small", "two scales"])
def test_the_page_gives_the_pixels_of_enhance(tab: Tab, address: str, width: int, height: int) -> None:
    tab.errors.clear()
    tab.open(address, width=1280)
    tab.evaluate(READY)
    low = dark(width, height)
    found = dropped(tab, low).astype(float)
    expected = load("light-1", precision="fp32", device="cpu").enhance(low)
    difference = np.abs(found - expected)
    assert difference.mean() < MEAN and difference.max() <= LARGEST, (difference.mean(), difference.max())
    assert np.abs(found - low).mean() > 10  # it did something
    assert tab.errors == []


def test_what_is_saved_has_the_strength_and_the_transparency(tab: Tab, address: str) -> None:
    tab.open(address, width=1280)
    tab.evaluate(READY)
    low = np.dstack([dark(90, 60), np.full((60, 90), 255, np.uint8)])
    low[:, :30, 3] = 102
    dropped(tab, low)
    name, data = tab.evaluate(SAVE)
    saved = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert name == "night_enhanced.png"
    assert np.abs(saved[..., 3].astype(int) - low[..., 3]).max() <= 1
    model = load("light-1", precision="fp32", device="cpu")
    expected = model.enhance(low[..., :3].copy(), strength=0.5)
    difference = np.abs(saved[:, 30:, :3].astype(float) - expected[:, 30:])
    assert difference.max() <= LARGEST, difference.max()


def test_tiles_are_put_together_where_they_belong(tab: Tab, address: str) -> None:
    """With a network that returns its input, a large picture comes back as it was."""
    tab.open(address, width=1280)
    worst, calls = tab.evaluate(
        """(async () => {
          const {enhance} = await import("./enhance.js"), width = 1210, height = 1003;
          const value = (_, i) => (i >> 2) * (1 + i % 4) % 251;
          const rgba = Uint8ClampedArray.from({length: 4 * width * height}, value);
          let calls = 0, worst = 0;
          const run = async low => (calls++, low);
          const result = await enhance({rgba, width, height}, run, () => {});
          for (let i = 0; i < rgba.length; i++) worst = Math.max(worst, Math.abs(result[i] - rgba[i]));
          return [worst, calls];
        })()"""
    )
    assert worst <= 1 and calls > 4


def test_nothing_is_wider_than_a_phone(tab: Tab, address: str) -> None:
    tab.open(address, width=390, dark=True)
    tab.evaluate(READY)
    assert tab.overflow() == []
    dropped(tab, dark(150, 100))
    assert tab.overflow() == []


def test_what_is_not_a_picture_is_refused_in_words(tab: Tab, address: str) -> None:
    tab.open(address, width=390)
    tab.evaluate(READY)
    answer = tab.evaluate(DROP.replace("BYTES", base64.b64encode(b"no picture").decode()))
    assert "night.png is not a picture" in answer


def test_of_several_files_the_first_picture_is_taken_and_a_bad_one_changes_nothing(
    tab: Tab, address: str
) -> None:
    tab.open(address, width=390)
    tab.evaluate(READY)
    one = 'files.items.add(new File([bytes], "night.png", {type: "image/png"}));'
    others = one.replace("night.png", "note.txt").replace("image/png", "text/plain") + one + one
    file = io.BytesIO()
    Image.fromarray(dark(90, 60)).save(file, "png")
    tab.evaluate(DROP.replace(one, others).replace("BYTES", base64.b64encode(file.getvalue()).decode()))
    assert "first of 2 pictures" in tab.evaluate("message.textContent")
    answer = tab.evaluate(DROP.replace("BYTES", base64.b64encode(b"no picture").decode()))
    assert answer.startswith("data:")  # the picture before is still there
    assert "night.png is not a picture" in tab.evaluate("message.textContent")
    assert tab.evaluate("[work.hidden, start.hidden, save.disabled]") == [False, True, False]
    assert tab.overflow() == []


def test_arrow_keys_move_the_divider(tab: Tab, address: str) -> None:
    tab.open(address, width=1280)
    tab.evaluate(READY)
    dropped(tab, dark(90, 60))
    tab.evaluate("divider.focus()")
    for _ in range(3):
        tab.press("ArrowLeft", 37)
    assert tab.evaluate("[divider.value, viewer.style.getPropertyValue('--at')]") == ["44", "44%"]


def test_all_code_of_the_page_is_here() -> None:
    """No address of another site: a photograph cannot leave, and the page works without a network."""
    for path in PAGE.glob("*.*"):
        text = Path(path).read_text()
        assert "//" not in text.replace("http://www.w3.org/2000/svg", "").replace("// ", ""), path.name
