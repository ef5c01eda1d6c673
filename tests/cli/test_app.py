"""The page of `reddit-llie app`, in a browser where there are one and gradio, and the files of a Space."""

from __future__ import annotations

import ast
import base64
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from browser import Tab
from PIL import Image
from repository import ROOT, call

from reddit.inference.loading import load
from reddit.utils.errors import UserError

FIND = """
  const find = async (selector, when) => {
    let one;
    while (!(one = [...document.querySelectorAll(selector)].find(when ?? (() => true))))
      await new Promise(next => setTimeout(next, 50));
    return one;
  };
  const choose = (input, names) => {
    const files = new DataTransfer(), bytes = Uint8Array.from(atob("BYTES"), one => one.charCodeAt(0));
    for (const name of names) files.items.add(new File([bytes], name, {type: "image/png"}));
    input.files = files.files;
    input.dispatchEvent(new Event("change", {bubbles: true}));
  };
"""
DROP = f"""
(async () => {{ {FIND}
  choose(await find("#low input[type=file]"), ["night.png"]);
  await find("#low img");
  (await find("#brighten")).click();
  await find("#both", one => one.querySelectorAll("img").length > 1);
  return [...document.querySelectorAll("#both img")].map(one => one.src);
}})()
"""
DROP_SEVERAL = f"""
(async () => {{ {FIND}
  (await find("button[role=tab]", one => one.textContent.includes("Several"))).click();
  choose(await find("input[type=file]", one => one.multiple), ["a.png", "b.png", "c.png"]);
  await find("td.filename", one => one.textContent.includes("c"));
  (await find("button", one => one.textContent.trim() === "Brighten all")).click();
  await find("#results", one => one.querySelectorAll("img").length > 2);
}})()
"""
DROP_BAD = f"""
(async () => {{ {FIND}
  choose(await find("#low input[type=file]"), ["night.png"]);
  await find("#low img");
  (await find("#brighten")).click();
  return (await find(".toast-body", one => one.textContent.includes("night"))).textContent;
}})()
"""
FETCH = """
(async () => {
  const bytes = new Uint8Array(await (await fetch("ADDRESS")).arrayBuffer());
  return btoa(Array.from(bytes, one => String.fromCharCode(one)).join(""));
})()
"""


def test_a_space_has_the_same_page(tmp_path: Path) -> None:
    folder = tmp_path / "space"
    call("app", "--space", str(folder))
    call("app", "--space", str(folder), "--package", "git+https://example.org/llie")  # replaces its own files
    page = (ROOT / "reddit/cli/app_page.py").read_text()
    assert ast.dump(ast.parse((folder / "app.py").read_text())) == ast.dump(ast.parse(page))
    _, header, _ = (folder / "README.md").read_text().split("---\n", 2)
    settings = yaml.safe_load(header)
    assert settings["sdk"] == "gradio" and settings["app_file"] == "app.py"
    wanted = (folder / "requirements.txt").read_text().splitlines()[1:-1]
    assert wanted == ["reddit-llie @ git+https://example.org/llie", "gradio>=6"]


@pytest.mark.parametrize("name", ["app.py", "README.md", "requirements.txt"])
def test_edited_files_of_a_space_are_kept(name: str, tmp_path: Path) -> None:
    call("app", "--space", str(tmp_path))
    with (tmp_path / name).open("a") as file:
        file.write("# mine\n")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UserError, match=rf"^--space \S+{name} .* or was edited: choose another .* folder"):
        call("app", "--space", str(tmp_path), "--package", "git+https://example.org/llie")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_model_card_is_no_file_of_a_space(light_weights: Path, tmp_path: Path) -> None:
    call("push", "--weights", str(light_weights), "-o", str(tmp_path))
    with pytest.raises(UserError, match=r"README\.md exists and is not an earlier result"):
        call("app", "--space", str(tmp_path))


def test_without_gradio_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "reddit.cli.app_page", raising=False)
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(UserError, match=r"the page needs gradio: pip install 'reddit-llie\[app\]'"):
        call("app")


@pytest.fixture(scope="module")
def app_page() -> Any:
    pytest.importorskip("gradio", reason="needs the extra app")
    from reddit.cli import app_page

    return app_page


def test_several_pictures_and_one_that_is_none(app_page: Any, tmp_path: Path) -> None:
    for name in ("a", "b"):
        Image.fromarray(np.full((40, 60, 3), 20, np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "c.png").write_bytes(b"no picture")
    files = [str(tmp_path / f"{name}.png") for name in "abc"]
    written, _ = app_page.brighten_all(files, "light", 1, 1.0, 1, "cpu")
    assert [Path(path).name for path in written] == ["a_enhanced.png", "b_enhanced.png"]


@pytest.fixture(scope="module")
def address(app_page: Any) -> Iterator[str]:
    page = app_page.page(device="cpu")
    look = {"theme": app_page.THEME, "css": app_page.STYLE}
    yield page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, **look)[1]
    app_page.gr.close_all()


def test_the_page_gives_the_pixels_of_enhance(address: str, tab: Tab) -> None:
    low = (np.random.default_rng(0).random((50, 80, 3)) * 60).astype(np.uint8)
    tab.errors.clear()
    tab.open(address, width=390)
    shown = tab.evaluate(DROP.replace("BYTES", png(low)))
    found = [base64.b64decode(tab.evaluate(FETCH.replace("ADDRESS", one))) for one in shown]
    pictures = {Image.open(io.BytesIO(one)).convert("RGB").tobytes() for one in found}
    assert pictures == {low.tobytes(), load("light", device="cpu").enhance(low).tobytes()}
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    tab.evaluate(DROP_SEVERAL.replace("BYTES", png(low)))
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert tab.errors == []


def test_a_file_that_is_no_picture_is_named(
    address: str, tab: Tab, capfd: pytest.CaptureFixture[str]
) -> None:
    tab.open(address, width=1280)
    said = tab.evaluate(DROP_BAD.replace("BYTES", base64.b64encode(b"no picture").decode()))
    assert "night.png is damaged" in said and "/" not in said  # without its folder
    assert "Traceback" not in capfd.readouterr().err
    assert tab.evaluate("document.querySelector('#low').offsetWidth") > 400  # two columns


def png(picture: np.ndarray) -> str:
    """A PNG file in base 64."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()
