"""Few-step diffusion for low-light image enhancement."""

__version__ = "0.1.0"
