from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from reddit.image.read import read_image
from reddit.metrics import LPIPS
from reddit.metrics.perceptual import _alexnet, _vgg16
from reddit.utils.errors import UserError

SHARED = Path(os.environ.get("REDDIT_SHARED", Path(__file__).resolve().parents[2].parent / "shared"))
ALEXNET = Path(os.environ.get("REDDIT_ALEXNET", SHARED / "weights" / "alexnet_features.safetensors"))
VGG16 = os.environ.get("REDDIT_VGG16")
EXAMPLE = SHARED / "data" / "lpips_example"

needs_example = pytest.mark.skipif(not EXAMPLE.is_dir(), reason=f"{EXAMPLE} is absent; set REDDIT_SHARED")
needs_alexnet = pytest.mark.skipif(not ALEXNET.is_file(), reason=f"{ALEXNET} is absent; set REDDIT_ALEXNET")
needs_vgg = pytest.mark.skipif(not VGG16, reason="REDDIT_VGG16 names no file")


@pytest.fixture(scope="module")
def random_alexnet(tmp_path_factory) -> Path:
    """Convolutions of the right shapes: enough for everything but the published figures."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "alexnet.safetensors"
    save_file({f"features.{name}": p.data for name, p in _alexnet().named_parameters()}, path)
    return path


@pytest.fixture(scope="module")
def random_vgg(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "vgg.safetensors"
    save_file({f"features.{name}": p.data for name, p in _vgg16().named_parameters()}, path)
    return path


@pytest.fixture(scope="module")
def model(random_alexnet) -> LPIPS:
    return LPIPS("alex", random_alexnet)


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 3, 48, 64, generator=generator), torch.rand(2, 3, 48, 64, generator=generator)


def published(model: LPIPS) -> tuple[float, float]:
    reference, first, second = (read_image(EXAMPLE / f"ex_{name}.png")[None] for name in ("ref", "p0", "p1"))
    return model.distance(first, reference).item(), model.distance(second, reference).item()


@needs_example
@needs_alexnet
def test_published_alexnet_figures() -> None:
    assert published(LPIPS("alex", ALEXNET)) == pytest.approx((0.7219, 0.1376), abs=1e-4)


@needs_example
@needs_vgg
def test_published_vgg_figures() -> None:
    assert published(LPIPS("vgg", VGG16)) == pytest.approx((0.5686, 0.4217), abs=1e-4)


@pytest.mark.parametrize("backbone", ["alex", "vgg"])
def test_agrees_with_the_lpips_package(backbone, random_alexnet, random_vgg, pair) -> None:
    import lpips

    path = random_alexnet if backbone == "alex" else random_vgg
    state = load_file(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = lpips.LPIPS(net=backbone, pnet_rand=True, verbose=False)
    for index in range(1, 6):
        for name, layer in getattr(reference.net, f"slice{index}").named_children():
            if isinstance(layer, nn.Conv2d):
                layer.weight.data = state[f"features.{name}.weight"]
                layer.bias.data = state[f"features.{name}.bias"]
    output, gt = pair
    with torch.no_grad():
        expected = reference(output, gt, normalize=True).flatten()
        expected_paper = reference(output.flip(1) * 255, gt.flip(1) * 255).flatten()
    torch.testing.assert_close(LPIPS(backbone, path)(output, gt), expected, atol=1e-6, rtol=1e-5)
    paper = LPIPS(backbone, path, feeding="paper")(output, gt)
    torch.testing.assert_close(paper, expected_paper, atol=1e-6, rtol=1e-5)


def test_identity_symmetry_range(model, pair) -> None:
    output, gt = pair
    assert model.distance(gt, gt).tolist() == [0, 0]
    scores = model.distance(output, gt)
    assert scores.dtype == torch.float64
    assert (scores > 0).all()
    assert torch.allclose(scores, model.distance(gt, output), rtol=1e-6)


def test_several_outputs_share_the_features_of_the_ground_truth(model, pair) -> None:
    output, gt = pair
    shown = []
    handle = model.features.register_forward_hook(lambda *_: shown.append(1))
    together = model.distances([output, 1 - output], gt)
    assert len(shown) == 3
    handle.remove()
    for found, alone in zip(together, (output, 1 - output), strict=True):
        assert torch.equal(found, model.distance(alone, gt))


def test_frozen_and_always_in_eval_mode(model) -> None:
    parent = nn.ModuleDict({"loss": model, "net": nn.Linear(1, 1)}).train()
    assert not any(module.training for module in model.modules())
    assert all(not p.requires_grad for p in model.parameters())
    assert {n.split(".")[0] for n, p in parent.named_parameters() if p.requires_grad} == {"net"}


@pytest.mark.parametrize("autocast", [False, True])
def test_gradient_reaches_the_output_in_its_dtype(model, pair, autocast) -> None:
    output, gt = pair
    for dtype in (torch.float32, torch.bfloat16):
        x = output.to(dtype, copy=True).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            distance = model(x, gt)
        assert distance.dtype == torch.float32
        distance.sum().backward()
        assert x.grad is not None
        assert x.grad.dtype == dtype
        assert x.grad.isfinite().all()
        assert x.grad.abs().sum() > 0


def test_autocast_stays_near_full_precision(model, pair) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        low = model(*pair)
        metric = model.distance(*pair)
    torch.testing.assert_close(low, model(*pair), rtol=0.05, atol=1e-4)
    assert torch.equal(metric, model.distance(*pair))


def test_dead_features_give_no_nan(random_alexnet, tmp_path) -> None:
    """A black picture may silence every channel, where a plain square root has an infinite slope."""
    state = load_file(random_alexnet)
    for name, tensor in state.items():
        if name.endswith("bias"):
            tensor.fill_(-1000.0)
    path = tmp_path / "dead.safetensors"
    save_file(state, path)
    x = torch.zeros(1, 3, 32, 32, requires_grad=True)
    LPIPS("alex", path)(x, torch.ones(1, 3, 32, 32)).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_construction_is_silent(random_alexnet, capsys) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LPIPS("alex", random_alexnet)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("backbone", "side"), [("alex", 31), ("vgg", 16)])
def test_smallest_picture(backbone, side, random_alexnet, random_vgg) -> None:
    model = LPIPS(backbone, random_alexnet if backbone == "alex" else random_vgg)
    assert model(torch.rand(1, 3, side, side), torch.rand(1, 3, side, side)).item() > 0
    with pytest.raises(UserError, match=rf"too small for LPIPS.*{side}x{side}"):
        model(torch.rand(1, 3, side - 1, side), torch.rand(1, 3, side - 1, side))


def test_weights_of_another_network(random_alexnet, random_vgg) -> None:
    with pytest.raises(
        UserError, match=r"alexnet.safetensors.*'vgg'.*features.0.weight is \(64, 3, 11, 11\)"
    ):
        LPIPS("vgg", random_alexnet)
    with pytest.raises(UserError, match=r"vgg.safetensors.*'alex'.*features.0.weight"):
        LPIPS("alex", random_vgg)


def test_missing_tensor(random_alexnet, tmp_path) -> None:
    state = load_file(random_alexnet)
    del state["features.8.bias"]
    path = tmp_path / "part.safetensors"
    save_file(state, path)
    with pytest.raises(UserError, match=r"part.safetensors.*features.8.bias is missing"):
        LPIPS("alex", path)


def test_unreadable_files(tmp_path) -> None:
    text = tmp_path / "text.safetensors"
    text.write_text("hello")
    for path in (text, tmp_path / "absent.safetensors", tmp_path):
        with pytest.raises(UserError, match=r"cannot read the AlexNet convolutions.*REDDIT_ALEXNET"):
            LPIPS("alex", path)


def test_environment_names_the_file(random_alexnet, monkeypatch, model, pair) -> None:
    monkeypatch.setenv("REDDIT_ALEXNET", str(random_alexnet))
    assert torch.equal(LPIPS("alex").distance(*pair), model.distance(*pair))


def test_failed_download_names_the_remedy(monkeypatch) -> None:
    def refuse(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.delenv("REDDIT_VGG16", raising=False)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    with pytest.raises(UserError, match=r"VGG-16.*no route to host.*REDDIT_VGG16"):
        LPIPS("vgg")


def test_unknown_names() -> None:
    with pytest.raises(UserError, match=r"choose from alex, vgg"):
        LPIPS("squeeze")
    with pytest.raises(UserError, match=r"choose from rgb, paper"):
        LPIPS("alex", feeding="bgr")
