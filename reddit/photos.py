"""Photographs on disk: 8 or 16 bits, grey or colour, with or without alpha, and what they say of themselves.

Training and scoring read pictures with `reddit.images`, as plain 8-bit RGB.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from reddit.containers import png, tiff
from reddit.errors import UserError
from reddit.images import write_bytes

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
    ".bmp": "BMP",
}
QUALITY = 95

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


def write_photo(path: str | Path, photo: Photo, quality: int = QUALITY) -> None:
    """Write a photograph with what it says of itself; the extension chooses the format.

    JPEG, WebP and BMP hold 8 bits: deeper pictures are rounded.

    Args:
        quality: of JPEG and WebP, 1 to 100.

    Raises:
        UserError: an unknown extension, alpha in a JPEG, a picture too big for its format, or the file
            cannot be written.
    """
    path = Path(path)
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise UserError(f"cannot write {path}: unknown extension; use one of {', '.join(FORMATS)}")
    if form == "JPEG" and photo.pixels.ndim == 3 and photo.pixels.shape[2] in (2, 4):
        raise UserError(f"cannot write {path}: JPEG holds no transparency; use --format png")
    try:
        data = _encoded(photo, form, quality)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write {path} as {form}: {error}; use --format png") from error
    write_bytes(path, data)


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


def _encoded(photo: Photo, form: str, quality: int) -> bytes:
    exif = photo.exif.tobytes() if len(photo.exif) else None
    if form == "TIFF":
        return tiff(photo.pixels, photo.exif, photo.icc_profile, photo.dpi)
    if form == "PNG" and photo.pixels.dtype == np.uint16:
        return png(photo.pixels, exif, photo.icc_profile, photo.dpi)
    options: dict[str, object] = {"quality": quality} if form in ("JPEG", "WEBP") else {}
    if form == "JPEG":
        options["subsampling"] = 0  # colour as sharp as light
    if exif and form != "BMP":
        options["exif"] = exif
    if photo.icc_profile and form != "BMP":
        options["icc_profile"] = photo.icc_profile
    if photo.dpi and form != "WEBP":
        options["dpi"] = photo.dpi
    image = Image.fromarray(_eight_bits(photo.pixels))
    if image.mode == "LA" and form in ("BMP", "WEBP"):
        image = image.convert("RGBA")
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def _eight_bits(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    return np.rint(pixels.astype(np.float32) / 257).astype(np.uint8)
