"""Formats that need another package: HEIC photographs and raw files of cameras."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from reddit.image.limits import check_size
from reddit.utils.errors import UserError
from reddit.utils.text import reason

HEIC = (".heic", ".heif")
RAW = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw")
EXTENSIONS = (*HEIC, *RAW)
_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")


def is_heic(data: bytes) -> bool:
    """Whether bytes begin as a HEIC file does."""
    return data[4:8] == b"ftyp" and data[8:12] in _BRANDS


def register_heic(path: Path) -> None:
    """Teach Pillow to read HEIC.

    Raises:
        UserError: the package is not installed.
    """
    try:
        import pillow_heif
    except ImportError as error:
        raise UserError(
            f"{path} is a HEIC photograph: pip install 'reddit-llie[heic]', or convert it to JPEG"
        ) from error
    pillow_heif.register_heif_opener()


def read_raw(path: Path) -> np.ndarray:
    """Develop a raw file: upright RGB uint16 (H, W, 3), the camera's white balance, no brightening.

    Raises:
        UserError: the package is not installed, or the file is damaged.
    """
    try:
        import rawpy
    except ImportError as error:
        raise UserError(
            f"{path} is a camera's raw file: pip install 'reddit-llie[raw]', or convert it to TIFF"
        ) from error
    try:
        with rawpy.imread(str(path)) as raw:
            check_size(path, raw.sizes.width, raw.sizes.height, 6)
            return np.asarray(raw.postprocess(output_bps=16, use_camera_wb=True, no_auto_bright=True))
    except (rawpy.LibRawError, OSError) as error:
        why = error.args[0] if error.args else ""
        told = why.decode(errors="replace") if isinstance(why, bytes) else reason(error)  # LibRaw's are bytes
        raise UserError(f"{path} is damaged, or a raw file of an unknown camera ({told})") from error
