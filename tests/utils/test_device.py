"""Choosing a device, on machines that are only said to have GPUs."""

from __future__ import annotations

import pytest
import torch

from reddit.training.distributed import join
from reddit.utils.device import autocast, choose_device
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
