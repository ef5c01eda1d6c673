from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_set import NETWORK

from reddit.checkpoint import format as checkpoint
from reddit.checkpoint.build import build_denoiser
from reddit.checkpoint.format import (
    load_denoiser,
    load_state,
    load_weights,
    read_info,
    save_state,
    save_weights,
)
from reddit.config import Config, resolve_config
from reddit.diffusion import Denoiser
from reddit.utils.errors import UserError


def small_config(**model: object) -> Config:
    network = NETWORK | {"attention_levels": [1]} | model
    raw = {"name": "tiny", "model": network, "diffusion": {"zero_terminal_snr": True}}
    return resolve_config(raw, ["train.lr=3e-4"], source="test")


def saved(path: Path, seed: int = 0, **options: object) -> tuple[Denoiser, Config]:
    torch.manual_seed(seed)
    config = small_config()
    denoiser = build_denoiser(config)
    named = {"steps": 4, "family": "tiny", "method": "reddit", "iteration": 7} | options
    save_weights(path, denoiser, config, **named)  # type: ignore[arg-type]
    return denoiser, config


def one_line(error: pytest.ExceptionInfo[UserError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "best.safetensors"
    pictures = frozenset({"00ff", "abcd"})
    denoiser, config = saved(path, training_pictures=pictures, validation={"psnr": 21.5})
    loaded, info = load_denoiser(path)
    for name, value in denoiser.network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], value)
    assert info.config == config
    assert (info.steps, info.family, info.method, info.iteration) == (4, "tiny", "reddit", 7)
    assert info.training_pictures == pictures
    assert info.validation == {"psnr": 21.5}
    assert info.path == path
    assert info.digest == hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    assert not loaded.training
    assert loaded.prediction == "v"
    assert loaded.schedule.zero_terminal_snr
    assert list(path.parent.iterdir()) == [path]  # no temporary file is left


def test_files_have_the_permissions_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        saved(tmp_path / "w.safetensors")
        save_state(tmp_path / "state.pt", {})
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o640}


def test_no_pictures_and_no_validation(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    saved(path)
    info = read_info(path)
    assert info.training_pictures == frozenset()
    assert info.validation == {}


def test_half_precision_is_half_the_size(tmp_path: Path) -> None:
    whole, half = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    denoiser, _ = saved(whole)
    saved(half, dtype=torch.float16)
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    loaded, _ = load_denoiser(half)
    for name, value in denoiser.network.state_dict().items():
        assert loaded.network.state_dict()[name].dtype == torch.float32
        assert torch.allclose(loaded.network.state_dict()[name], value, rtol=1e-3, atol=1e-6)


def test_half_precision_that_does_not_hold_a_weight(tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    denoiser, config = saved(tmp_path / "whole.safetensors")
    next(denoiser.parameters()).data.view(-1)[0] = 70_000
    with pytest.raises(UserError, match="1 tensor with weights above 65504, which half precision does not"):
        save_weights(
            path, denoiser, config, steps=2, family="f", method="teacher", iteration=1, dtype=torch.float16
        )
    assert not path.exists()


def test_missing(tmp_path: Path) -> None:
    path = tmp_path / "none.safetensors"
    with pytest.raises(UserError) as error:
        read_info(path)
    assert str(path) in one_line(error)


@pytest.mark.parametrize("left", [0, 5, 0.5, 0.999])
def test_truncated(tmp_path: Path, left: float) -> None:
    path = tmp_path / "cut.safetensors"
    saved(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(left * len(whole)) if left < 1 else int(left)])
    with pytest.raises(UserError) as error:
        load_denoiser(path)
    assert f"{path} is not a safetensors file or is truncated" in one_line(error)


def test_text_with_the_right_name(tmp_path: Path) -> None:
    path = tmp_path / "text.safetensors"
    path.write_text("no weights at all\n" * 10)
    with pytest.raises(UserError) as error:
        read_info(path)
    assert str(path) in one_line(error)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_safetensors_of_another_program(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, path, metadata)
    with pytest.raises(UserError) as error:
        load_denoiser(path)
    assert str(path) in one_line(error)
    assert "another program" in one_line(error)


def test_weights_wrapped_by_another_program(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"module.weight": torch.zeros(3)}, path)
    with pytest.raises(UserError, match=r"of another program, wrapped in DataParallel, without the conf"):
        load_denoiser(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_of_pytorch_is_called_that(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "net_g.pth"
    torch.save({"params": {"module.weight": torch.zeros(3)}}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=r"net_g\.pth is a PyTorch file \(\.pth\), which is not loaded"):
        read_info(path)


@pytest.mark.parametrize("model", [{"width": 16}, {"blocks": 2}])
def test_weights_of_another_network(tmp_path: Path, model: dict[str, object]) -> None:
    path = tmp_path / "best.safetensors"
    saved(path)
    with pytest.raises(UserError) as error:
        load_weights(build_denoiser(small_config(**model)), path)
    assert str(path) in one_line(error)
    assert "tensors differ" in one_line(error)


def fail_with(code: int) -> object:
    def write(tensors: object, path: Path, metadata: object) -> None:
        Path(path).write_bytes(b"half of it")
        raise OSError(code, "No space left on device" if code == errno.ENOSPC else "Input/output error")

    return write


def test_a_full_disk_leaves_the_former_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.safetensors"
    saved(path)
    before = path.read_bytes()
    monkeypatch.setattr(checkpoint, "save_file", fail_with(errno.ENOSPC))
    with pytest.raises(UserError) as error:
        saved(path, seed=1)
    assert "space" in one_line(error)
    assert str(path) in one_line(error)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_rename_is_what_replaces_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.safetensors"
    saved(path)
    before = path.read_bytes()

    def fail(self: Path, target: Path) -> None:
        assert target == path
        assert self.stat().st_size == len(before)  # all of it is written by then
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(UserError):
        saved(path, seed=1)
    assert path.read_bytes() == before


def test_another_failure_is_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "save_file", fail_with(errno.EIO))
    with pytest.raises(UserError) as error:
        saved(tmp_path / "last.safetensors")
    assert "Input/output error" in one_line(error)
    assert list(tmp_path.iterdir()) == []


def test_an_impossible_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "file" / "a.safetensors", tmp_path / "file" / "deeper" / "a.safetensors"):
        with pytest.raises(UserError) as error:
            saved(path)
        assert str(path) in one_line(error)


def test_state_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    state = {"weights": {"a": torch.arange(3.0)}, "progress": {"best": float("-inf"), "scores": None}}
    save_state(path, state)
    found = load_state(path)
    assert torch.equal(found["weights"]["a"], torch.arange(3.0))
    assert found["progress"] == state["progress"]


def test_state_damaged(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_state(path, {"a": torch.zeros(1000)})
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError) as error:
        load_state(path)
    assert f"{path} is damaged" in one_line(error)


def test_a_full_disk_under_torch_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.pt"
    save_state(path, {"a": 1})

    def fail(state: object, to: object) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:664] . PytorchStreamWriter failed writing")

    monkeypatch.setattr(checkpoint.torch, "save", fail)
    with pytest.raises(UserError) as error:
        save_state(path, {"a": 2})
    assert "space" in one_line(error)
    assert load_state(path) == {"a": 1}


def rewritten(path: Path, **metadata: str | None) -> Path:
    """A valid checkpoint whose header says other things, or (None) nothing of them."""
    saved(path)
    with safe_open(path, framework="pt") as file:
        header = {key: value for key, value in file.metadata().items() if metadata.get(key, "") is not None}
    header |= {key: value for key, value in metadata.items() if value is not None}
    save_file(load_file(path), path, header)
    return path


HEADERS: list[dict[str, str | None]] = [
    {"config": None},
    {"steps": None},
    {"config": "{"},
    {"config": "[1]"},
    {"config": '{"model": 3}'},
    {"config": "[" * 100_000},
    {"steps": "-4"},
    {"steps": "0"},
    {"steps": "513"},
    {"steps": "many"},
    {"validation": "7"},
    {"iteration": "1e3"},
    {"config": '{"model": {"width": 4096, "groups": 4}}'},
]


@pytest.mark.parametrize("metadata", HEADERS, ids=str)
def test_headers_are_checked(tmp_path: Path, metadata: dict[str, str | None]) -> None:
    path = rewritten(tmp_path / "odd.safetensors", **metadata)
    with pytest.raises(UserError) as error:
        load_denoiser(path)
    assert str(path) in str(error.value) and len(str(error.value)) < 2000


def test_shapes_are_checked_before_a_network_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = rewritten(tmp_path / "huge.safetensors", config='{"model": {"width": 4096}}')
    monkeypatch.setattr(checkpoint, "build_denoiser", lambda config: pytest.fail("built"))
    with pytest.raises(UserError, match="does not match"):
        load_denoiser(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    path = tmp_path / "broken.safetensors"
    denoiser, config = saved(path)
    next(denoiser.parameters()).data.view(-1)[0] = value
    save_weights(path, denoiser, config, steps=2, family="f", method="teacher", iteration=1)
    with pytest.raises(UserError, match=r"broken\.safetensors: 1 tensor with weights that are not"):
        load_denoiser(path)


def test_reading_a_header_reads_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    saved(path)
    expected = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", lambda self: pytest.fail("read whole"))
        info = read_info(path)
    assert info.digest == expected
    assert len(repr(info)) < 300


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("family", "\x1b[31mred"),
        ("family", "../up"),
        ("method", ""),
        ("validation", '{"psnr": "high"}'),
        ("validation", "[]"),
    ],
)
def test_a_header_with_control_characters_or_paths(key: str, value: str, tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    saved(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() | {key: value}
    save_file(load_file(path), path, metadata)
    with pytest.raises(UserError, match="its header is damaged") as error:
        read_info(path)
    assert one_line(error).isprintable()
