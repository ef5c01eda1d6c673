"""Choosing a device, on machines that are only said to have GPUs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from reddit.training.distributed import join
from reddit.utils import device as device_module
from reddit.utils.device import (
    autocast,
    choose_device,
    precision_on,
    processor_has_bf16,
    sampling_precision,
)
from reddit.utils.errors import UserError


@pytest.fixture
def one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)


def test_a_process_takes_the_gpu_of_its_number(one_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_device("auto") == torch.device("cuda")
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda", 0)
    assert choose_device("cpu") == torch.device("cpu")


def test_more_processes_than_gpus(one_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LOCAL_RANK", "1"), ("RANK", "1"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    for choose in (lambda: choose_device("auto"), lambda: choose_device("cuda"), join):
        with pytest.raises(UserError, match=r"process 1 of .* finds 1 GPU: lower --nproc_per_node") as error:
            choose()
        assert "\n" not in str(error.value)


def test_an_apple_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device("auto") == choose_device("mps") == torch.device("mps")
    assert choose_device("cpu") == torch.device("cpu")


def test_an_nvidia_gpu_is_chosen_before_an_apple_one(one_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("cuda")


def test_half_precision_that_a_device_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("User specified an unsupported autocast device_type 'mps'")

    monkeypatch.setattr(torch, "autocast", refuse)
    with pytest.raises(UserError, match="precision: bf16 on mps needs a newer PyTorch; use fp32"):
        autocast(torch.device("mps"), "bf16")


def test_precisions_of_the_processor() -> None:
    for precision, enabled in (("fp32", False), ("tf32", False), ("bf16", True)):
        with autocast(torch.device("cpu"), precision):
            assert torch.is_autocast_enabled("cpu") == enabled
    with pytest.raises(UserError, match="fp16 needs a GPU"):
        autocast(torch.device("cpu"), "fp16")


def test_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(UserError, match="no usable GPU; set device=auto"):
        choose_device("cuda")
    with pytest.raises(UserError, match="mps was asked for, but this machine has no usable GPU"):
        choose_device("mps")


CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("flags", "listed", "has"),
    [
        ({"avx512_f": True, "avx512_bf16": False}, "flags : fpu avx2 avx512f avx512_vnni", False),
        ({"avx512_bf16": True}, "", True),
        ({"amx_bf16": True}, "", True),
        ({}, "flags : fpu avx512f avx512_bf16", True),
        ({}, "Features : fp asimd bf16 i8mm", True),
        ({"avx2": True}, "", False),
    ],
)
def test_whether_a_processor_has_bf16(
    flags: dict[str, bool], listed: str, has: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if listed:
        (tmp_path / "cpuinfo").write_text(listed + "\n")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags, raising=False)
    monkeypatch.setattr(device_module, "CPU_FLAGS", tmp_path / "cpuinfo")
    processor_has_bf16.cache_clear()
    try:
        assert processor_has_bf16() == has
        assert precision_on(CPU, "auto") == ("bf16" if has else "fp32")
        with autocast(CPU, "auto"):
            assert torch.is_autocast_enabled("cpu") == has
    finally:
        processor_has_bf16.cache_clear()


@pytest.mark.parametrize(("capability", "precision"), [((7, 5), "fp32"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_the_precision_of_an_nvidia_gpu(
    capability: tuple[int, int], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    gpu = torch.device("cuda", 0)
    assert precision_on(gpu, "auto") == precision
    assert [precision_on(gpu, name) for name in ("fp32", "tf32", "bf16", "fp16")] == [
        "fp32",
        "tf32",
        "bf16",
        "fp16",
    ]
    trained = {name: sampling_precision(gpu, name) for name in ("auto", "fp32", "tf32", "bf16", "fp16")}
    assert trained == {
        "auto": precision, "fp32": "fp32", "tf32": "tf32", "bf16": precision, "fp16": "fp16",
    }  # fmt: skip


@pytest.mark.parametrize(("has", "half"), [(True, "bf16"), (False, "fp32")])
def test_half_precision_of_training_on_another_processor(
    has: bool, half: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_module, "processor_has_bf16", lambda: has)
    trained = {name: sampling_precision(CPU, name) for name in ("auto", "fp32", "tf32", "bf16", "fp16")}
    assert trained == {"auto": half, "fp32": "fp32", "tf32": "tf32", "bf16": half, "fp16": half}
    assert precision_on(CPU, "bf16") == "bf16"  # what was asked for by name
