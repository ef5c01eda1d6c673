"""LPIPS v0.1 (Zhang, Isola, Efros, Shechtman and Wang, 2018), as a metric and as a training loss.

The learned linear heads come from the `lpips` package. The ImageNet convolutions come from a file with
torchvision's names, or from torchvision's download.
"""

from __future__ import annotations

import errno
import http.client
import os
import pickle
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from reddit.metrics.feature_distance import feature_distance
from reddit.metrics.pairs import check_pair, size_of
from reddit.utils.arithmetic import arithmetic
from reddit.utils.device import full_precision
from reddit.utils.errors import UserError
from reddit.utils.half_weights import HalfWeights
from reddit.utils.text import reason

LpipsBackbone = Literal["alex", "vgg"]
LpipsFeeding = Literal["rgb", "paper"]

ENVIRONMENT = {"alex": "REDDIT_ALEXNET", "vgg": "REDDIT_VGG16"}

_TORCHVISION = {"alex": "alexnet-owt-7be5be79.pth", "vgg": "vgg16-397923af.pth"}  # IMAGENET1K_V1
_LAYERS = 5  # whose features are compared
_SMALLEST = {"alex": 31, "vgg": 16}  # smallest side, in pixels, with one feature in the last layer
_VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512)  # 0: pooling

# ImageNet's mean and deviation for pictures in [-1, 1], rounded as in LPIPS v0.1.
_MEAN = (-0.030, -0.088, -0.188)
_DEVIATION = (0.458, 0.448, 0.450)


class LPIPS(nn.Module):
    """A frozen perceptual distance: always in eval mode, no trainable parameters.

    Args:
        backbone: "alex" (the field's metric) or "vgg" (the paper's training loss, eq 11).
        weights: a .safetensors with torchvision's convolutions (`features.N.weight`, `features.N.bias`).
            None: the file named by REDDIT_ALEXNET or REDDIT_VGG16, else torchvision's download.
        feeding: "rgb" maps [0, 1] to [-1, 1], as LPIPS is defined. "paper" feeds BGR in 0-255, as the
            ReDDiT code does; such scores are not comparable with other work.
        trained: False keeps random convolutions, to count what they compute.

    Raises:
        UserError: an unknown name; weights that are missing, unreadable, of another network, or that
            cannot be downloaded.
    """

    def __init__(
        self,
        backbone: LpipsBackbone = "alex",
        weights: str | Path | None = None,
        feeding: LpipsFeeding = "rgb",
        *,
        trained: bool = True,
    ) -> None:
        super().__init__()
        if backbone not in _SMALLEST:
            raise UserError(f"LPIPS backbone {backbone!r} is unknown; choose from {_names(LpipsBackbone)}")
        if feeding not in get_args(LpipsFeeding):
            raise UserError(f"LPIPS feeding {feeding!r} is unknown; choose from {_names(LpipsFeeding)}")
        self.backbone = backbone
        self.feeding = feeding
        self.features = _alexnet() if backbone == "alex" else _vgg16()
        if trained:
            _load_convolutions(self.features, backbone, weights)
        self._half_weights = HalfWeights[list[Tensor]]()
        self.heads = nn.ParameterList(_heads(backbone))
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1))
        self.register_buffer("deviation", torch.tensor(_DEVIATION).view(3, 1, 1))
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> LPIPS:
        """Stay in eval mode, also when a parent module switches to training."""
        return super().train(False)

    def forward(self, output: Tensor, gt: Tensor) -> Tensor:
        """The distance, differentiable in both pictures, also under autocast.

        Args:
            output, gt: (B, 3, H, W) in [0, 1]; at least 31 pixels a side for "alex", 16 for "vgg".

        Returns:
            (B,), at least 0, in the weights' precision (float32 unless the module was cast). Under
            autocast only the convolutions run in lower precision.

        Raises:
            UserError: the pictures are too small.
        """
        self._check_size(output)
        return self._between(self._activations(output), self._activations(gt))

    @torch.no_grad()
    def distance(self, output: Tensor, gt: Tensor) -> Tensor:
        """The metric: `forward` on checked pictures, without autocast and gradients.

        Args:
            output, gt: (B, 3, H, W) in [0, 1], on any device.

        Returns:
            float64 (B,) on the CPU.

        Raises:
            UserError: the shapes differ, are not (B, 3, H, W) or are too small; a value is not finite.
        """
        return self.distances([output], gt)[0]

    @torch.no_grad()
    def distances(self, outputs: Sequence[Tensor], gt: Tensor) -> list[Tensor]:
        """`distance` of each of several outputs; the features of the ground truth are computed once."""
        for output in outputs:
            check_pair(output, gt)
            self._check_size(output)
        device = self.mean.device
        with arithmetic(device, "fp32"), full_precision(device):
            expected = self._activations(gt.to(device))
            found = (self._between(self._activations(output.to(device)), expected) for output in outputs)
            return [distance.cpu().double() for distance in found]

    def _check_size(self, output: Tensor) -> None:
        if min(output.shape[-2:]) < _SMALLEST[self.backbone]:
            side = _SMALLEST[self.backbone]
            raise UserError(
                f"{size_of(output[:1])} is too small for LPIPS ({self.backbone}): it needs {side}x{side}"
            )

    def _between(self, output: list[Tensor], gt: list[Tensor]) -> Tensor:
        """(B,), the distance of two pictures by their activations."""
        total = torch.zeros((), dtype=self.mean.dtype, device=output[0].device)
        for head, x, y in zip(self.heads, output, gt, strict=True):
            total = total + feature_distance(x, y, head)
        return total

    def _activations(self, image: Tensor) -> list[Tensor]:
        image = image.to(self.mean.dtype)
        image = image.flip(1) * 255 if self.feeding == "paper" else image * 2 - 1
        return self._half_weights.call(self.features, (image - self.mean) / self.deviation)


class _Features(nn.Sequential):
    """Convolutions, of which the features after some ReLUs are returned."""

    def __init__(self, *layers: nn.Module, taps: tuple[int, ...]) -> None:
        super().__init__(*layers)
        self.taps = taps

    def forward(self, x: Tensor) -> list[Tensor]:
        kept = []
        for i, layer in enumerate(self):
            x = layer(x)
            if i in self.taps:
                kept.append(x)
        return kept


def _alexnet() -> _Features:
    """torchvision's `alexnet().features` up to the last ReLU, with its numbering."""
    return _Features(
        *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
        taps=(1, 4, 7, 9, 11),
    )


def _vgg16() -> _Features:
    """torchvision's `vgg16().features` up to the last ReLU, with its numbering."""
    layers: list[nn.Module] = []
    channels = 3
    for width in _VGG16:
        if width:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        else:
            layers.append(nn.MaxPool2d(2, 2))
    return _Features(*layers, taps=(3, 8, 15, 22, 29))


def _heads(backbone: str) -> list[nn.Parameter]:
    """The learned channel weights, one (1, C, 1, 1) per layer."""
    package = find_spec("lpips")
    if package is None or package.origin is None:
        raise UserError("LPIPS needs the package lpips for its learned weights: pip install lpips")
    path = Path(package.origin).parent / "weights" / "v0.1" / f"{backbone}.pth"
    state = torch.load(path, map_location="cpu", weights_only=True)
    return [nn.Parameter(state[f"lin{i}.model.1.weight"]) for i in range(_LAYERS)]


def _load_convolutions(features: nn.Sequential, backbone: str, weights: str | Path | None) -> None:
    source = weights or os.environ.get(ENVIRONMENT[backbone])
    state = _read(Path(source), backbone) if source else _download(backbone)
    for name, parameter in features.named_parameters():
        tensor = state.get(f"features.{name}")
        if tensor is None:
            found = "is missing"
        elif tensor.shape != parameter.shape:
            found = f"is {tuple(tensor.shape)}, not {tuple(parameter.shape)}"
        else:
            parameter.data.copy_(tensor)
            continue
        raise UserError(
            f"{source or 'the download'} does not hold the convolutions of LPIPS {backbone!r}: "
            f"features.{name} {found}; use torchvision's {_network(backbone)} convolutions"
        )


def _read(path: Path, backbone: str) -> dict[str, Tensor]:
    try:
        if not path.is_file():  # a pipe would be waited for
            raise FileNotFoundError(errno.ENOENT, "no such file")
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"cannot read the {_network(backbone)} convolutions from {path}: {reason(error)}; "
            f"name a .safetensors file with the LPIPS weights option or {ENVIRONMENT[backbone]}"
        ) from error


def downloaded(backbone: str) -> Path:
    """Where PyTorch keeps the downloaded convolutions of `alex` or `vgg`; the file may not exist."""
    return Path(torch.hub.get_dir()) / "checkpoints" / _TORCHVISION[backbone]


def _download(backbone: str) -> dict[str, Any]:
    url = f"https://download.pytorch.org/models/{_TORCHVISION[backbone]}"
    try:
        return torch.hub.load_state_dict_from_url(
            url, map_location="cpu", progress=False, check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError, EOFError, http.client.HTTPException, pickle.UnpicklingError) as error:
        raise UserError(
            f"cannot download the {_network(backbone)} convolutions for LPIPS ({reason(error)}); set "
            f"{ENVIRONMENT[backbone]} or the LPIPS weights option to a .safetensors file with them, "
            "or leave LPIPS out"
        ) from error


def _network(backbone: str) -> str:
    return {"alex": "AlexNet", "vgg": "VGG-16"}[backbone]


def _names(choices: Any) -> str:
    return ", ".join(get_args(choices))
