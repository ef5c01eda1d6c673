from __future__ import annotations

import importlib.resources
import json
import os
import shutil
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_set import NETWORK

from reddit.checkpoint import registry
from reddit.checkpoint.build import build_denoiser
from reddit.checkpoint.format import read_info, save_weights
from reddit.checkpoint.shipped import FOLDER
from reddit.cli.models import choose_model
from reddit.config import resolve_config
from reddit.utils.errors import UserError


@pytest.fixture
def shelf(tmp_path: Path, light_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with light-1, light-4 and night-8, in a folder without runs."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for name in ("light-1", "light-4", "night-8"):
        shutil.copy(light_weights, folder / f"{name}.safetensors")
    monkeypatch.setattr("reddit.checkpoint.shipped.FOLDER", folder)
    monkeypatch.chdir(tmp_path)
    return folder


def test_weights_are_inside_the_package() -> None:
    folder = importlib.resources.files("reddit.checkpoint") / "weights"
    assert Path(str(folder)) == FOLDER
    assert registry.find_shipped(registry.DEFAULT) is not None
    for name, path in registry.shipped().items():
        info = read_info(path)
        assert name.endswith(f"-{info.steps}") and info.training_pictures, name


@pytest.mark.parametrize(
    ("name", "steps", "file"),
    [
        ("light", 1, "light-1"),
        ("light", 4, "light-4"),
        ("light", 16, "light-4"),
        ("light", None, "light-1"),
        ("light", 2, "light-4"),  # as far from 1 as from 4: the one of more steps
        ("light-1", 4, "light-1"),
        ("night", None, "night-8"),
    ],
)
def test_names_choose_the_nearest_steps(shelf: Path, name: str, steps: int | None, file: str) -> None:
    assert registry.find_shipped(name, steps) == shelf / f"{file}.safetensors"
    assert registry.find_checkpoint(name, Path("runs"), steps).path == shelf / f"{file}.safetensors"


@pytest.mark.parametrize("name", ["ligh", "light-", "light-2", "-1", "", "l.ght"])
def test_other_names_are_not_known(shelf: Path, name: str) -> None:
    assert registry.find_shipped(name) is None


def test_the_default_is_the_one_step_model(shelf: Path, light_weights: Path) -> None:
    shutil.copy(light_weights, shelf / "light-2.safetensors")
    assert registry.find_shipped("light") == shelf / "light-1.safetensors"
    names = [model.path.stem for model in registry.shipped_models()]
    assert names == [
        "light-1",
        "light-2",
        "light-4",
        "night-8",
    ]


def test_files_and_runs_are_found_too(shelf: Path, light_weights: Path) -> None:
    run = Path("runs/mine/checkpoints")
    run.mkdir(parents=True)
    with pytest.raises(UserError, match="run runs/mine has no checkpoint yet"):
        registry.find_checkpoint("mine", Path("runs"))
    shutil.copy(light_weights, run / "best.safetensors")
    for name in ("mine", "runs/mine", "runs/mine/checkpoints/best.safetensors"):
        model = registry.find_checkpoint(name, Path("runs"))
        assert model.path == run / "best.safetensors" and registry.name_of(model) == "mine"
    assert registry.name_of(registry.find_checkpoint("light-1", Path("runs"))) == "light-1"


def test_a_folder_without_a_run_does_not_hide_shipped_weights(shelf: Path) -> None:
    Path("light").mkdir()
    assert registry.find_checkpoint("light", Path("runs")).path == shelf / "light-1.safetensors"


def test_a_run_with_a_shipped_name_is_ambiguous(shelf: Path, light_weights: Path) -> None:
    run = Path("runs/light/checkpoints")
    run.mkdir(parents=True)
    shutil.copy(light_weights, run / "best.safetensors")
    with pytest.raises(UserError, match=r"'light' is both a run and shipped weights: use the path runs/"):
        registry.find_checkpoint("light", Path("runs"))
    assert registry.find_checkpoint("runs/light", Path("runs")).path == run / "best.safetensors"


def test_an_unknown_name_lists_the_known_ones(shelf: Path) -> None:
    with pytest.raises(UserError, match="'lihgt'; shipped: light-1, light-4, night-8; runs in runs: none"):
        registry.find_checkpoint("lihgt", Path("runs"))


def model(name: str, steps: int, ablation: str | None = None) -> Path:
    """A run of the family `f`."""
    settings = {"model": NETWORK, "name": "f", "ablation": ablation}
    config = resolve_config(settings, source="test")
    path = Path("runs") / name / "checkpoints" / "best.safetensors"
    save_weights(path, build_denoiser(config), config, steps=steps, family="f", method="reddit", iteration=1)
    return path


def found(steps: int, ablation: str | None = None) -> str | None:
    model = registry.find_model(Path("runs"), steps, "f", ablation=ablation)
    return model and registry.name_of(model)


def test_a_student_of_an_ablation_does_not_stand_for_its_family(shelf: Path) -> None:
    model("f-no-ratr-8", 8, "no-ratr")
    assert found(8) is None
    assert found(8, "no-ratr") == "f-no-ratr-8"
    model("f-variant-8", 8)
    assert found(8) == "f-variant-8"
    assert found(8, "no-ratr") == "f-no-ratr-8"
    assert found(8, "no-pixel") == "f-variant-8"


@pytest.mark.parametrize(
    ("name", "ablation"),
    [
        ("f-no-ratr-8", "no-ratr"),
        ("f-omega-0.5-clean-8", "omega-0.5-clean"),
        ("f-d3", "d3"),
        ("f-8", None),
        ("f-variant-8", None),
        ("no-ratr-8", None),
    ],
)
def test_an_ablation_that_an_older_model_does_not_record(
    name: str, ablation: str | None, shelf: Path
) -> None:
    model(name, 8)
    assert registry.ablation_of(registry.find_checkpoint(name, Path("runs"))) == ablation
    assert found(8) == (name if ablation is None else None)


def test_models_of_ablations_are_not_chosen_by_default(
    shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model("f-8", 8)
    model("f-no-ratr-8", 8, "no-ratr")  # newer
    os.utime("runs/f-8/checkpoints/best.safetensors", (0, 0))
    (Path("runs") / "odd" / "checkpoints").mkdir(parents=True)
    (Path("runs") / "odd" / "checkpoints" / "best.safetensors").touch()
    chosen, _ = choose_model(None, None, Path("runs"))
    assert registry.name_of(chosen) == "f-8"
    assert "skipped: runs/odd" in capsys.readouterr().err
    named, _ = choose_model("f-no-ratr-8", None, Path("runs"))
    assert registry.name_of(named) == "f-no-ratr-8"


def test_a_damaged_run_is_named_and_left_out(shelf: Path) -> None:
    model("good", 4)
    for name, content in (("odd", b"odd"), ("empty", b"")):
        path = Path("runs") / name / "checkpoints" / "best.safetensors"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    said: list[str] = []
    assert [registry.name_of(m) for m in registry.all_models(Path("runs"), said.append)] == ["good"]
    assert sorted("odd" in line for line in said) == [False, True]
    with pytest.raises(UserError, match="runs/odd"):
        registry.find_checkpoint("odd", Path("runs"))


def test_weights_that_do_not_fit_their_configuration_are_left_out(shelf: Path) -> None:
    model("good", 4)
    claimed = model("huge", 4)
    with safe_open(claimed, framework="pt") as file:
        metadata = file.metadata()
    config = json.loads(metadata["config"])
    config["model"] |= {"width": 4096}
    save_file(load_file(claimed), claimed, metadata | {"config": json.dumps(config)})
    said: list[str] = []
    assert [registry.name_of(m) for m in registry.all_models(Path("runs"), said.append)] == ["good"]
    assert len(said) == 1 and said[0].startswith("skipped: runs/huge")


def test_a_run_that_may_not_be_read_does_not_stop_a_search(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model("good", 4)
    model("secret", 4)
    real = Path.stat

    def stat(path: Path, **options: bool) -> os.stat_result:
        if "secret" in path.parts and path.suffix:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, **options)

    monkeypatch.setattr(Path, "stat", stat)  # root, who may run this, can read all
    assert [registry.name_of(m) for m in registry.all_models(Path("runs"))] == ["good"]
    with pytest.raises(UserError, match="the run runs/secret has no checkpoint"):
        registry.find_checkpoint("secret", Path("runs"))
