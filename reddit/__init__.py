"""Few-step diffusion for low-light image enhancement."""

from reddit.checkpoint.format import load_denoiser
from reddit.diffusion import Denoiser, NoiseSchedule, Prediction
from reddit.image.read import read_image
from reddit.image.write import write_image
from reddit.inference.enhancer import Enhancer, EnhanceWarning, enhance, load
from reddit.inference.sampling import restore
from reddit.models import ConditionalUNet
from reddit.utils.errors import UserError

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
