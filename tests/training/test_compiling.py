"""Compiled networks: whole graphs, the numbers of uncompiled ones, and what happens where compiling fails."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.backends.common import aot_autograd

from reddit.inference.sampling import restore
from reddit.methods import Method
from reddit.training.compiling import compile_networks, failure, networks_of, with_fallback

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from simulated_gpu import cases
from simulated_gpu.names import METHODS, NETWORKS

CPU = torch.device("cpu")
LEAST = {"architecture": "compact", "width": 4, "multipliers": [1], "blocks": 1, "unshuffle": 2, "detail": 4}
"""A network that is compiled in seconds."""


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No graphs of other tests, and random convolutions for LPIPS."""
    for variable, path in cases.random_lpips(tmp_path).items():
        monkeypatch.setenv(variable, str(path))
    monkeypatch.setitem(NETWORKS, "least", LEAST)
    monkeypatch.setitem(METHODS, "reddit without LPIPS", ["distill.reddit.w_per=0"])
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def a_method(name: str, network: str = "light") -> Method:
    return cases.build_method(cases.tiny(network, "fp32", name), name.split()[0], CPU)


def losses(name: str, compile_as: Callable[[nn.Module], object] | None = None) -> list[float]:
    """The losses of the first two steps of a case."""
    built: list[Method] = []
    with pytest.MonkeyPatch.context() as patch:
        build = cases.build_method
        patch.setattr(cases, "build_method", lambda *found: built.append(build(*found)) or built[-1])
        step: Callable[[], Any] = cases.make(name, CPU)
    for network in networks_of(built[0]) if compile_as else ():
        compile_as(network)  # type: ignore[misc]
    return [step()["loss"].item() for _ in range(2)]


def test_all_networks_of_a_step_are_compiled() -> None:
    for name, count in (
        ("teacher", 1),
        ("reddit", 3),
        ("progressive", 2),
        ("consistency with LPIPS", 4),
        ("ctm", 3),
    ):
        method = a_method(name)
        compile_networks(method, mode=False)
        assert [network._compiled_call_impl for network in networks_of(method)] == [None] * count
        compile_networks(method, mode=True)
        assert None not in [network._compiled_call_impl for network in networks_of(method)]


@pytest.mark.parametrize(
    "name",
    [
        "teacher/sr3/fp32",
        "reddit/light/fp32",
        "reddit/compact/bf16",
        "consistency with LPIPS/light/fp32",
        "ctm/compact/fp32",
    ],
)
def test_graphs_have_no_breaks(name: str) -> None:
    ours = losses(name, lambda network: network.compile(backend="aot_eager", fullgraph=True))
    assert ours == pytest.approx(losses(name), rel=1e-2 if "bf16" in name else 1e-4)


@pytest.mark.parametrize("network", ["sr3", "light", "compact"])
def test_pictures_of_many_sizes(network: str) -> None:
    graphs = []

    def keep(graph: torch.fx.GraphModule, inputs: object) -> Any:
        graphs.append(graph)
        return graph.forward

    config = cases.tiny(network, "fp32")
    ours, theirs = (cases.denoiser(config, CPU) for _ in range(2))
    ours.network.compile(backend=keep, fullgraph=True)
    for size in ((32, 32), (33, 47), (40, 52), (90, 30)):
        low = torch.rand(1, 3, *size)
        assert torch.allclose(restore(ours, low, 1, [0]), restore(theirs, low, 1, [0]), atol=1e-5), size
    assert len(graphs) <= 3
    # Inductor fails at remainders of free sizes.
    assert not [node for graph in graphs for node in graph.graph.nodes if node.target is operator.mod]


def test_the_real_compiler() -> None:
    name = "reddit without LPIPS/least/fp32"
    assert losses(name, lambda network: network.compile()) == pytest.approx(losses(name), rel=1e-4)
    config = cases.tiny("least", "fp32")
    ours, theirs = (cases.denoiser(config, CPU) for _ in range(2))
    ours.network.compile()
    for size in ((16, 16), (17, 23), (20, 26)):
        low = torch.rand(1, 3, *size)
        assert torch.allclose(restore(ours, low, 1, [0]), restore(theirs, low, 1, [0]), atol=1e-5), size


def fail(*_: object) -> Any:
    raise torch._dynamo.exc.TorchDynamoException("no such kernel")


def fail_later(graph: torch.fx.GraphModule, inputs: Any) -> Any:
    """Compiles the forward pass only."""
    return aot_autograd(fw_compiler=lambda forward, _: forward, bw_compiler=fail)(graph, inputs)


@pytest.mark.parametrize("backend", [fail, fail_later])
def test_where_compiling_fails_the_step_is_done_without(backend: Any) -> None:
    method, said = a_method("teacher"), []
    calls = []

    def step() -> Tensor:
        calls.append(1)
        network = method.denoiser.network
        x, alpha = torch.rand(1, 3, 32, 32), torch.rand(1)
        loss: Tensor = network(x, x, alpha).square().mean()
        loss.backward()
        return loss

    for network in networks_of(method):
        network.compile(backend=backend)
    assert with_fallback(method, True, step, said.append).isfinite()
    assert len(calls) == 2 and len(said) == 1
    assert said[0].startswith(
        "WARNING: train.compile: the networks cannot be compiled, so they run uncompiled ("
    )
    assert "no such kernel" in said[0] and "\n" not in said[0]
    with_fallback(method, True, step, said.append)
    assert len(calls) == 3 and len(said) == 1


@pytest.mark.parametrize("error", [ValueError("a bug"), MemoryError(), RuntimeError("CUDA out of memory")])
def test_other_errors_are_not_the_compilers(error: Exception) -> None:
    method, said = a_method("teacher"), []
    compile_networks(method, mode=True)

    def step() -> None:
        raise error

    with pytest.raises(type(error)):
        with_fallback(method, True, step, said.append)
    assert said == [] and method.denoiser.network._compiled_call_impl is not None
    assert failure(error) is None
