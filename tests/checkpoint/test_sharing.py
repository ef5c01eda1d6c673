from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

import reddit
from reddit.checkpoint.card import card_of
from reddit.checkpoint.format import read_info
from reddit.checkpoint.registry import find_checkpoint, find_shipped
from reddit.checkpoint.sharing import CARD, CONFIG, WEIGHTS
from reddit.cli.main import main
from reddit.utils.errors import UserError


class Hub:
    """In place of the Hugging Face Hub: its repositories are folders below another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[tuple[object, ...]] = []

    def module(self) -> SimpleNamespace:
        return SimpleNamespace(HfApi=lambda: self, hf_hub_download=self.download)

    def create_repo(self, repository: str, *, private: bool, exist_ok: bool) -> str:
        self.asked.append(("create", repository, private))
        (self.folder / repository).mkdir(parents=True, exist_ok=exist_ok)
        return f"https://hub/{repository}"

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str) -> None:
        shutil.copytree(folder_path, self.folder / repo_id, dirs_exist_ok=True)

    def download(self, repository: str, file: str, *, revision: str | None) -> str:
        self.asked.append(("download", repository, revision))
        if not (self.folder / repository).exists():
            raise OSError("404: no such repository\nmore lines")
        return str(self.folder / repository / file)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    made = Hub(tmp_path / "hub")
    monkeypatch.setitem(sys.modules, "huggingface_hub", made.module())  # type: ignore[arg-type]
    return made


def dark() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 30, (16, 20, 3)).astype(np.uint8)


def test_a_folder_and_back(light_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mine"
    for licence in ("mit", "apache-2.0"):  # its own files are replaced
        main(["push", "--weights", str(light_weights), "-o", str(folder), "--license", licence])
    assert {path.name for path in folder.iterdir()} == {WEIGHTS, CARD, CONFIG}
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    assert f"| SHA-256 begins with | {digest[:12]} |" in (folder / CARD).read_text()
    expected = reddit.load(str(light_weights)).enhance(dark(), seed=1)
    assert (reddit.from_pretrained(str(folder)).enhance(dark(), seed=1) == expected).all()
    assert "light in " in capsys.readouterr().out


def test_another_model_and_an_edited_card_are_kept(light_weights: Path, tmp_path: Path) -> None:
    main(["push", "--weights", str(light_weights), "-o", str(tmp_path)])
    with pytest.raises(UserError, match=r"model.safetensors exists and is not an earlier result"):
        main(["push", "--weights", "light", "-o", str(tmp_path)])
    card = tmp_path / CARD
    written = card.read_text()
    for edited in (f"{written}Mine.\n", written.replace("tags:", "license: mit\ntags:")):
        card.write_text(edited)
        with pytest.raises(
            UserError, match=r"README.md exists and is not an earlier result, or was edited: "
        ):
            main(["push", "--weights", str(light_weights), "-o", str(tmp_path)])
        assert card.read_text() == edited


def test_the_hub_and_back(light_weights: Path, hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    main(["push", "--weights", str(light_weights), "--repo", "me/night", "--private"])
    assert capsys.readouterr().out == "light in https://hub/me/night\n"
    assert hub.asked == [("create", "me/night", True)]
    assert reddit.from_pretrained("me/night", revision="v1").steps == 2
    info = find_checkpoint("hf://me/night@v2", Path("runs"))
    assert info.training_pictures == read_info(light_weights).training_pictures
    assert hub.asked[1:] == [("download", "me/night", "v1"), ("download", "me/night", "v2")]
    assert 'from_pretrained("me/night")' in (hub.folder / "me/night" / CARD).read_text()


def test_mistakes(light_weights: Path, hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"cannot download me/none .*\(404: no such repository\): check the name"
    ):
        reddit.from_pretrained("me/none")
    with pytest.raises(UserError, match="holds no shared model"):
        reddit.from_pretrained(str(tmp_path))
    (tmp_path / CARD).write_text("# Notes")
    with pytest.raises(UserError, match=r"README\.md exists and is not an earlier result"):
        main(["push", "--weights", str(light_weights), "-o", str(tmp_path)])
    with pytest.raises(UserError, match="name the model with --weights"):
        main(["push", "-o", str(tmp_path)])


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"pip install 'reddit-llie\[hub\]'"):
        reddit.from_pretrained("me/night")


@pytest.mark.parametrize("name", ["light-1", "light-lol-4"])
def test_the_card_of_shipped_weights(name: str) -> None:
    path = find_shipped(name)
    assert path is not None
    info = read_info(path)
    card = card_of(info, "me/night", "apache-2.0")
    _, head, body = card.split("---\n", 2)
    header = yaml.safe_load(head)
    assert header["library_name"] == "reddit-llie" and header["license"] == "apache-2.0"
    parameters = {"light-1": "2,491,967", "light-lol-4": "1,497,164"}[name]
    assert f"{parameters} parameters" in body and "half precision" in body
    assert f"| sampling steps | {info.steps} |" in body and "lolv1" in body
    settings = yaml.safe_load(body.split("```yaml\n")[1].split("```")[0])
    assert settings.keys() == {"model", "diffusion"}  # no paths of the machine
    assert settings["model"] == info.config.model.model_dump(mode="json")


def test_without_a_licence_the_card_names_none(light_weights: Path) -> None:
    assert "license" not in card_of(read_info(light_weights), "me/night").split("---")[1]
