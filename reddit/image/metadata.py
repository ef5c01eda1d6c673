"""The metadata of a photograph: EXIF data, orientation, resolution."""

from __future__ import annotations

import numpy as np
from PIL import ExifTags, Image

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
# Tags of a TIFF that describe the picture; the others describe the layout of its file.
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


def upright(pixels: np.ndarray, exif: Image.Exif) -> np.ndarray:
    """Turn upright by the EXIF orientation, which becomes 1 in `exif`."""
    orientation = exif.get(ExifTags.Base.Orientation)
    if orientation is None:
        return pixels
    exif[ExifTags.Base.Orientation] = 1
    mirrored, turns = _UPRIGHT.get(orientation, (False, 0))
    details = exif.get_ifd(ExifTags.IFD.Exif)
    sides = ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight
    if turns % 2:
        width, height = (details.pop(side, None) for side in sides)
        if width is not None and height is not None:  # both or none
            details[sides[0]], details[sides[1]] = height, width
    return np.rot90(pixels[:, ::-1] if mirrored else pixels, turns)


def exif_of(image: Image.Image) -> Image.Exif:
    """EXIF data without the camera's thumbnail, which would still be dark."""
    try:
        exif = image.getexif()
        exif.get_ifd(ExifTags.IFD.GPSInfo)  # reads it, as writing needs it
        exif.get_ifd(ExifTags.IFD.Exif).pop(ExifTags.IFD.Interop, None)  # an offset in this very file
        if image.format == "TIFF":
            for tag in set(exif) - _DESCRIPTIVE:
                del exif[tag]
        exif.tobytes()
    except Exception:  # damaged metadata; the picture is what matters
        return Image.Exif()
    return exif


def icc_profile_of(image: Image.Image) -> bytes | None:
    """The colour profile; None where a damaged tag holds something else."""
    profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) else None


def dpi_of(image: Image.Image) -> tuple[float, float] | None:
    across, down = image.info.get("dpi", (0, 0))
    return (float(across), float(down)) if across > 1 and down > 1 else None  # 1: no unit was given
