"""Reading pictures: photographs with all that they say of themselves, and plain 8-bit RGB.

Enhancing reads with `read_photo`; training and scoring with `read_uint8` and `read_image`.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor

from reddit.image.formats import FORMATS
from reddit.image.pixels import to_float
from reddit.utils.errors import UserError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
_READ_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_MODES = {"1": "L", "L": "L", "LA": "LA", "La": "LA", "PA": "RGBA", "YCbCr": "RGB", "RGBX": "RGB"}
_MODES |= {"RGB": "RGB", "RGBA": "RGBA", "RGBa": "RGBA", "P": "RGB", "I;16": "L", "I;16B": "L", "I": "L"}
# Counter-clockwise quarter turns, after a mirroring if True, that undo each EXIF orientation.
_UPRIGHT = {
    2: (True, 0),
    3: (False, 2),
    4: (True, 2),
    5: (True, 1),
    6: (False, 3),
    7: (True, 3),
    8: (False, 1),
}
# Tags of a TIFF that describe the picture; the others say how its file is laid out.
_DESCRIPTIVE = frozenset(
    {
        ExifTags.Base.ImageDescription,
        ExifTags.Base.Make,
        ExifTags.Base.Model,
        ExifTags.Base.Orientation,
        ExifTags.Base.Software,
        ExifTags.Base.DateTime,
        ExifTags.Base.Artist,
        ExifTags.Base.HostComputer,
        ExifTags.Base.Rating,
        ExifTags.Base.Copyright,
        ExifTags.IFD.Exif,
        ExifTags.IFD.GPSInfo,
    }
)


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph, upright.

    Attributes:
        pixels: (H, W) grey, (H, W, 2) grey and alpha, (H, W, 3) RGB or (H, W, 4) RGBA; uint8 or uint16.
        exif: its EXIF data, orientation 1.
        icc_profile: what its numbers mean as colours.
        dpi: dots an inch, across and down.
    """

    pixels: np.ndarray
    exif: Image.Exif = field(default_factory=Image.Exif)
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None


def read_photo(path: str | Path) -> Photo:
    """Read a photograph and turn it upright.

    Raises:
        UserError: the file is missing, empty, damaged, no picture, or a picture of an unsupported kind.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if not data:
        raise UserError(f"{path} is empty (0 bytes): download or write it again")
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(data)) as image:
            warnings.simplefilter("ignore")  # of big pictures and damaged tags: the pixels decide
            return _photo(path, data, image)
    except UserError:
        raise
    except UnidentifiedImageError as error:
        raise UserError(
            f"{path} is damaged, or no picture of a kind known here: {', '.join(FORMATS)}"
        ) from error
    except Image.DecompressionBombError as error:
        raise UserError(f"{path} is too big: {error}") from error
    except Exception as error:  # decoders raise errors of every kind on damaged files
        raise UserError(
            f"{path} cannot be decoded: it is damaged, or of a rare kind ({error}); copy it again, or as PNG"
        ) from error


def _photo(path: Path, data: bytes, image: Image.Image) -> Photo:
    if image.format not in (*FORMATS.values(), "MPO"):  # MPO: a JPEG with more behind it, from many phones
        raise UserError(f"{path} is a {image.format}: convert it to one of {', '.join(FORMATS)}")
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise UserError(f"{path} holds {image.n_frames} pictures: split it, one picture a file")  # type: ignore[attr-defined]
    deep = _bits(image, data) == 16
    if image.mode not in _MODES or (image.mode == "I" and not deep):
        raise UserError(f"{path} holds {image.mode} pixels: convert it to grey or RGB of 8 or 16 bits")
    image.load()  # first: reading the metadata would decode a PNG and pass over what is damaged
    exif = _exif(image)
    pixels = _decoded(data) if deep else _pixels(image)
    pixels = np.ascontiguousarray(_upright(pixels, exif))
    return Photo(pixels, exif, image.info.get("icc_profile"), _dpi(image))


def _bits(image: Image.Image, data: bytes) -> int:
    """Bits a channel in the file: Pillow shows deep RGB pictures with 8."""
    if image.format == "PNG":
        return data[24]  # of the header chunk, which comes first
    if image.format == "TIFF":
        return int(max(image.tag_v2.get(258, (1,))))  # type: ignore[attr-defined]
    return 8


def _pixels(image: Image.Image) -> np.ndarray:
    mode = _MODES[image.mode]
    if "transparency" in image.info:
        mode = "LA" if mode == "L" else "RGBA"
    return np.asarray(image if image.mode == mode else image.convert(mode))


def _decoded(data: bytes) -> np.ndarray:
    """16-bit pixels, which Pillow cannot hold in colour."""
    is_png = data.startswith(b"\x89PNG")
    if is_png and b"IEND" not in data[-16:]:
        raise ValueError("the file ends early")  # the decoder would fill up with black
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise ValueError("16 bits of an unknown layout")
    if pixels.ndim == 2:
        return pixels
    if is_png and data[25] == 4:  # grey and alpha, which OpenCV shows as colour and alpha
        return pixels[..., [0, -1]]
    return pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]


def _upright(pixels: np.ndarray, exif: Image.Exif) -> np.ndarray:
    """Turn as the EXIF orientation asks, and note in `exif` that it is done."""
    orientation = exif.get(ExifTags.Base.Orientation)
    if orientation is None:
        return pixels
    exif[ExifTags.Base.Orientation] = 1
    mirrored, turns = _UPRIGHT.get(orientation, (False, 0))
    details = exif.get_ifd(ExifTags.IFD.Exif)
    if turns % 2 and ExifTags.Base.ExifImageWidth in details:
        width, height = ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight
        details[width], details[height] = details.get(height), details[width]
    return np.rot90(pixels[:, ::-1] if mirrored else pixels, turns)


def _exif(image: Image.Image) -> Image.Exif:
    """EXIF data without the camera's thumbnail, which would still be dark."""
    try:
        exif = image.getexif()
        exif.get_ifd(ExifTags.IFD.GPSInfo)  # reads it, which writing presupposes
        exif.get_ifd(ExifTags.IFD.Exif).pop(ExifTags.IFD.Interop, None)  # an offset in this very file
        if image.format == "TIFF":
            for tag in set(exif) - _DESCRIPTIVE:
                del exif[tag]
        exif.tobytes()
    except Exception:  # damaged metadata; the picture is what matters
        return Image.Exif()
    return exif


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    across, down = image.info.get("dpi", (0, 0))
    return (float(across), float(down)) if across > 1 and down > 1 else None  # 1: no unit was given


def read_uint8(path: str | Path) -> np.ndarray:
    """Read a picture as RGB uint8, shape (H, W, 3).

    Grey becomes three equal channels, alpha is dropped, 16 bits are rounded to 8.
    A `.npy` file holds uint8 BGR, as SID and SDSD are distributed.

    Raises:
        UserError: the file is missing, empty, truncated, or not a picture.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if not data:
        raise UserError(f"{path} is empty (0 bytes): download or write it again")
    if path.suffix.lower() == ".npy":
        return _read_npy(path)
    if data.startswith(b"\x89PNG") and b"IEND" not in data[-16:]:
        raise UserError(f"{path} is a truncated PNG: download or write it again")
    if data.startswith(b"\xff\xd8") and b"\xff\xd9" not in data[-4096:]:
        raise UserError(f"{path} is a truncated JPEG: download or write it again")
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), _READ_FLAGS | cv2.IMREAD_ANYDEPTH)
    if bgr is None:
        raise UserError(f"{path} cannot be decoded as a picture: is it damaged or of another type?")
    if bgr.dtype == np.uint16:
        bgr = np.rint(bgr.astype(np.float32) / 257.0).astype(np.uint8)
    elif bgr.dtype != np.uint8:
        raise UserError(f"{path} holds {bgr.dtype} values; 8-bit and 16-bit pictures are supported")
    return np.ascontiguousarray(bgr[..., ::-1])


def _read_npy(path: Path) -> np.ndarray:
    try:
        bgr = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"{path} is not a readable .npy array: {error}") from error
    if bgr.dtype != np.uint8 or bgr.ndim != 3 or bgr.shape[2] != 3:
        raise UserError(f"{path} holds {bgr.dtype} {bgr.shape}; expected uint8 (H, W, 3), BGR")
    return np.ascontiguousarray(bgr[..., ::-1])


def read_image(path: str | Path) -> Tensor:
    """Read a picture as float32 RGB (3, H, W) in [0, 1]; errors as in `read_uint8`."""
    return to_float(read_uint8(path))


def list_images(folder: str | Path, extensions: Iterable[str] = EXTENSIONS) -> list[Path]:
    """Pictures directly inside a folder, sorted by name; hidden files are left out."""
    folder = Path(folder)
    wanted = tuple(extensions)
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f"cannot list {folder}: {error.strerror}") from error
    return [p for p in entries if p.suffix.lower() in wanted and not p.name.startswith(".")]
