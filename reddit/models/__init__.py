"""Networks."""

from reddit.models.compact import CompactUNet
from reddit.models.unet import ConditionalUNet, count_parameters

__all__ = ["CompactUNet", "ConditionalUNet", "count_parameters"]
