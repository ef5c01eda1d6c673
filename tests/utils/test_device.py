"""Choosing a device, on machines that are only said to have GPUs."""

from __future__ import annotations

import pytest
import torch

from reddit.training.distributed import join
from reddit.utils.device import choose_device
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


def test_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(UserError, match="no usable GPU; set device=auto"):
        choose_device("cuda")
