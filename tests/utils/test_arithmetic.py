from __future__ import annotations

import pytest
import torch

from reddit.utils.arithmetic import arithmetic, tf32_allowed

GPU = torch.device("cuda")


def test_single_precision_is_single() -> None:
    before, benchmark = tf32_allowed(), torch.backends.cudnn.benchmark
    assert before  # PyTorch's default
    for precision in ("fp32", "bf16", "fp16"):
        with arithmetic(GPU, precision):
            assert not tf32_allowed()
            assert torch.backends.cudnn.benchmark == benchmark
    assert tf32_allowed()


def test_tf32_has_a_name_of_its_own() -> None:
    with arithmetic(GPU, "fp32"):
        with arithmetic(GPU, "tf32"):
            assert tf32_allowed()
        assert not tf32_allowed()


def test_algorithms_are_tried_where_shapes_stay() -> None:
    before = torch.backends.cudnn.benchmark
    with pytest.raises(ZeroDivisionError), arithmetic(GPU, "fp32", fixed_shapes=True):
        assert torch.backends.cudnn.benchmark
        raise ZeroDivisionError
    assert torch.backends.cudnn.benchmark == before and tf32_allowed()


def test_the_processor_is_left_alone() -> None:
    with arithmetic(torch.device("cpu"), "fp32", fixed_shapes=True):
        assert tf32_allowed() and not torch.backends.cudnn.benchmark
