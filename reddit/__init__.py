"""Few-step diffusion for low-light image enhancement.

Names are imported when they are first used, so that `import reddit` and `reddit-llie --help` are quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reddit.checkpoint.format import load_denoiser
    from reddit.diffusion import Denoiser, NoiseSchedule, Prediction
    from reddit.image.read import read_image
    from reddit.image.write import write_image
    from reddit.inference.enhancer import Enhancer, EnhanceWarning
    from reddit.inference.loading import enhance, from_pretrained, load
    from reddit.inference.sampling import restore
    from reddit.models import CompactUNet, ConditionalUNet
    from reddit.utils.errors import UserError

__version__ = "0.1.0"

_HOME = {
    "CompactUNet": "reddit.models",
    "ConditionalUNet": "reddit.models",
    "Denoiser": "reddit.diffusion",
    "EnhanceWarning": "reddit.inference.enhancer",
    "Enhancer": "reddit.inference.enhancer",
    "NoiseSchedule": "reddit.diffusion",
    "Prediction": "reddit.diffusion",
    "UserError": "reddit.utils.errors",
    "enhance": "reddit.inference.loading",
    "from_pretrained": "reddit.inference.loading",
    "load": "reddit.inference.loading",
    "load_denoiser": "reddit.checkpoint.format",
    "read_image": "reddit.image.read",
    "restore": "reddit.inference.sampling",
    "write_image": "reddit.image.write",
}

__all__ = [
    "CompactUNet",
    "ConditionalUNet",
    "Denoiser",
    "EnhanceWarning",
    "Enhancer",
    "NoiseSchedule",
    "Prediction",
    "UserError",
    "enhance",
    "from_pretrained",
    "load",
    "load_denoiser",
    "read_image",
    "restore",
    "write_image",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'reddit' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
