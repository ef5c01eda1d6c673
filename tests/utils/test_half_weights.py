from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from reddit.utils import half_weights
from reddit.utils.half_weights import HalfWeights, like_views


@pytest.fixture(autouse=True)
def on_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the norms keep their precision."""
    monkeypatch.setattr(half_weights, "DEVICES", ("cpu",))
    monkeypatch.setattr(half_weights, "CAST", (nn.Conv2d, nn.Linear))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.SiLU(), nn.Conv2d(8, 4, 1, bias=False), nn.Flatten()
    found = nn.Sequential(*layers, nn.Linear(4 * 6 * 6, 5))
    return found.to(memory_format=torch.channels_last)


def picture() -> Tensor:
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def gradients(call: Callable[[nn.Module, Tensor], Tensor], times: int) -> list[Tensor]:
    """The gradients of the weights after so many micro-batches."""
    model = network()
    for number in range(times):
        with torch.autocast("cpu", torch.bfloat16):
            loss = call(model, picture() + number).square().mean()
        loss.backward()
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("times", [1, 3])
def test_the_numbers_are_those_of_autocast(times: int) -> None:
    ours = gradients(HalfWeights[Tensor]().call, times)
    theirs = gradients(lambda model, x: model(x), times)
    assert len(ours) == len(theirs) == 7
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == torch.float32 and a.stride() == b.stride()
        assert torch.equal(a, b)


def test_without_autocast_the_network_is_called_as_it_is() -> None:
    model = network()
    assert torch.equal(HalfWeights[Tensor]().call(model, picture()), model(picture()))


@pytest.mark.parametrize("fused", [True, False])
def test_steps_of_an_optimiser_are_seen(fused: bool) -> None:
    model, half = network(), HalfWeights[Tensor]()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1, fused=fused)
    seen = []
    for _ in range(3):
        with torch.autocast("cpu", torch.bfloat16):
            loss = half.call(model, picture()).square().mean()
            with torch.no_grad():
                assert torch.equal(half.call(model, picture()), model(picture()))
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    assert len(set(seen)) == 3


def test_the_network_keeps_its_weights() -> None:
    model, half = network(), HalfWeights[Tensor]()
    before = dict(model.named_parameters())
    with torch.autocast("cpu", torch.bfloat16):
        half.call(model, picture())
        with pytest.raises(RuntimeError):
            half.call(model, picture()[:, :2])
    after = dict(model.named_parameters())
    assert all(after[name] is weight for name, weight in before.items())


def test_a_processor_is_left_to_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(half_weights, "like_views", None)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(HalfWeights[Tensor]().call(network(), picture()), network()(picture()))


def test_frozen_weights_are_cast_once_and_again_when_they_change(monkeypatch: pytest.MonkeyPatch) -> None:
    model, half, casts = network().requires_grad_(False), HalfWeights[Tensor](), []
    monkeypatch.setattr(
        "reddit.utils.half_weights.like_views", lambda *found: casts.append(1) or like_views(*found)
    )

    def call() -> Tensor:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            return half.call(model, picture()).clone()

    first, second = call(), call()
    assert torch.equal(first, second) and len(casts) == 1
    other = [parameter + 1 for parameter in model.parameters()]
    torch._foreach_lerp_(list(model.parameters()), other, 0.5)
    third = call()
    assert not torch.equal(first, third) and len(casts) == 2
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(third, model(picture()))


def test_a_copy_has_its_own_weights() -> None:
    model = nn.ModuleDict({"network": network().requires_grad_(False)})
    model.half = HalfWeights[Tensor]()  # type: ignore[assignment]
    with torch.autocast("cpu", torch.bfloat16):
        first = model.half.call(model["network"], picture())
        twin = copy.deepcopy(model)
        nn.init.zeros_(twin["network"][5].weight)  # type: ignore[index]
        assert not torch.equal(twin.half.call(twin["network"], picture()), first)
        assert torch.equal(model.half.call(model["network"], picture()), first)


def test_views_have_the_shapes_and_orders_of_the_tensors() -> None:
    tensors = [
        torch.zeros(5, 3, 2, 2).to(memory_format=torch.channels_last),
        torch.zeros(7),
        torch.zeros(2, 3),
    ]
    views = like_views(tensors, torch.bfloat16)
    assert [(v.shape, v.stride()) for v in views] == [(t.shape, t.stride()) for t in tensors]
    for number, view in enumerate(views):
        view.fill_(number)
    assert [view.unique().tolist() for view in views] == [[0], [1], [2]]
    assert all(view.storage_offset() % 8 == 0 for view in views)
