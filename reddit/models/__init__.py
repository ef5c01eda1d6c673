"""Networks."""

from reddit.models.unet import ConditionalUNet, count_parameters

__all__ = ["ConditionalUNet", "count_parameters"]
