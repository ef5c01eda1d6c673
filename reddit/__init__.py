"""Few-step diffusion for low-light image enhancement."""

from reddit.diffusion import Denoiser, NoiseSchedule, Prediction
from reddit.engine.checkpoint import load_denoiser
from reddit.enhancer import Enhancer, EnhanceWarning, enhance, load
from reddit.errors import UserError
from reddit.images import read_image, write_image
from reddit.models import ConditionalUNet
from reddit.restore import restore

__version__ = "0.1.0"

__all__ = [
    "ConditionalUNet",
    "Denoiser",
    "EnhanceWarning",
    "Enhancer",
    "NoiseSchedule",
    "Prediction",
    "UserError",
    "enhance",
    "load",
    "load_denoiser",
    "read_image",
    "restore",
    "write_image",
]
