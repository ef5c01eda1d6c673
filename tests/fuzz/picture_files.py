"""Small pictures of every kind, as bytes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageCms

from reddit.image.read import Photo
from reddit.image.write import write_photo

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def pixels(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype)


def saved(form: str, mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels(13, 21, 3)).convert(mode).save(file, form, **options)
    return file.getvalue()


def described() -> Image.Exif:
    exif = Image.Exif()
    exif[274], exif[305] = 6, "Camera 1.0"
    exif[34665] = {40962: 21, 40963: 13, 36867: "2020:01:01 00:00:00"}
    exif[34853] = {1: "N", 2: (1.0, 2.0, 3.0)}
    return exif


def tiff(array: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def deep_png(*shape: int, folder: Path) -> bytes:
    write_photo(folder / "deep.png", Photo(pixels(*shape, dtype=np.uint16)))
    return (folder / "deep.png").read_bytes()


class Files(dict[str, bytes]):
    """Files by name, with a short name of its own in reports of failures."""

    def __repr__(self) -> str:
        return "whole"


def whole_files(folder: Path) -> Files:
    """A file of every kind, by name; a folder for files that are written on the way."""
    frames = [Image.new("RGB", (21, 13), c) for c in ("navy", "red")]
    animated = {"save_all": True, "append_images": frames[1:]}
    files = {
        **{f"{mode}.png": saved("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")},
        "exif.png": saved("PNG", exif=described(), icc_profile=ICC, dpi=(72, 72)),
        "clear.png": saved("PNG", "P", transparency=0),
        "deep.png": deep_png(13, 21, 3, folder=folder),
        "deep grey.png": deep_png(13, 21, folder=folder),
        "deep clear.png": deep_png(13, 21, 4, folder=folder),
        "animated.png": saved("PNG", **animated),
        **{f"{mode}.jpg": saved("JPEG", mode) for mode in ("L", "RGB", "CMYK")},
        "progressive.jpg": saved("JPEG", progressive=True),
        "exif.jpg": saved("JPEG", exif=described(), icc_profile=ICC, comment="mine"),
        "motion.jpg": saved("JPEG") + b"\0\0\0\x18ftypmp42" + bytes(200),
        "mpo.jpg": saved("MPO", **animated),
        **{f"{mode}.bmp": saved("BMP", mode) for mode in ("1", "L", "P", "RGB", "RGBA")},
        **{f"{mode}.webp": saved("WEBP", mode) for mode in ("RGB", "RGBA")},
        "lossless.webp": saved("WEBP", lossless=True, exif=described(), icc_profile=ICC),
        "animated.webp": saved("WEBP", **animated),
        **{f"{mode}.tif": saved("TIFF", mode) for mode in ("1", "L", "P", "RGB", "CMYK")},
        **{f"{kind}.tif": saved("TIFF", compression=kind) for kind in ("tiff_lzw", "packbits", "jpeg")},
        "deep.tif": tiff(pixels(13, 21, 3, dtype=np.uint16), compression="zlib", predictor=True),
        "planes.tif": tiff(pixels(3, 13, 21, dtype=np.uint16), photometric="rgb", planarconfig="separate"),
        "tiles.tif": tiff(pixels(40, 50, 3), photometric="rgb", tile=(16, 16)),
        "float.tif": tiff(np.zeros((13, 21), np.float32)),
        "big.tif": tiff(pixels(13, 21), bigtiff=True, byteorder=">"),
        "colours.npy": npy(pixels(13, 21, 3)),
        "a.gif": saved("GIF"),
        "a.ppm": saved("PPM"),
    }
    return Files(files)


def more_files(folder: Path) -> Files:
    """Those of `whole_files`, larger ones, and ones of rare kinds."""
    scene = Image.fromarray(pixels(6, 8, 3)).resize((64, 48), Image.Resampling.BICUBIC)
    deep = pixels(13, 21, 3, dtype=np.uint16)
    files = whole_files(folder)

    def written(form: str, **options: Any) -> bytes:
        file = io.BytesIO()
        scene.save(file, form, **options)
        return file.getvalue()

    def add(name: str, form: str, **options: Any) -> None:
        try:
            files[name] = written(form, **options)
        except (OSError, KeyError):  # a Pillow without this format
            return

    for number in range(2, 9):
        files[f"turned {number}.tif"] = tiff(deep, photometric="rgb", extratags=[(274, 3, 1, number, True)])
    add("scene.jpg", "JPEG", quality=90)
    add("scene progressive.jpg", "JPEG", quality=90, progressive=True, restart_marker_blocks=2)
    add("scene.png", "PNG", exif=described(), dpi=(300, 300))
    add("scene.webp", "WEBP", quality=80, exif=described())
    add("scene.tif", "TIFF", compression="tiff_lzw")
    add("scene.bmp", "BMP")
    add("scene.avif", "AVIF")
    add("scene.jp2", "JPEG2000")
    add("scene.tga", "TGA")
    add("scene.ico.png", "ICO")
    fax = io.BytesIO()
    scene.convert("1").save(fax, "TIFF", compression="group4")
    files["fax.tif"] = fax.getvalue()
    small, large = deep[:5, :7] // 256, deep // 256
    add("jpeg strips.tif", "TIFF", compression="jpeg", strip_size=64 * 3 * 16)
    files["deep lzw.tif"] = cv2.imencode(".tif", deep)[1].tobytes()
    files["alpha.tif"] = tiff(pixels(13, 21, 4), photometric="rgb", extrasamples=["unassalpha"])
    files["grey alpha.tif"] = tiff(pixels(13, 21, 2), photometric="minisblack", extrasamples=["unassalpha"])
    files["strips.tif"] = tiff(deep, photometric="rgb", rowsperstrip=3, compression="zlib")
    files["planes of tiles.tif"] = tiff(
        pixels(3, 40, 50), photometric="rgb", planarconfig="separate", tile=(16, 16), compression="zlib"
    )
    files["white is zero.tif"] = tiff(pixels(13, 21), photometric="miniswhite")
    files["big-endian.tif"] = tiff(deep, photometric="rgb", byteorder=">")
    files["big.tiff"] = tiff(large.astype(np.uint8), photometric="rgb", bigtiff=True, compression="zlib")
    pages = io.BytesIO()
    with tifffile.TiffWriter(pages) as writer:
        writer.write(large.astype(np.uint8), photometric="rgb")
        writer.write(small.astype(np.uint8), photometric="rgb", subfiletype=1)
    files["thumbnail.tif"] = pages.getvalue()
    files["exr.exr"] = b"\x76\x2f\x31\x01\x02\0\0\0channels\0chlist\0" + bytes(300)
    files["exr.png"] = files["exr.exr"]
    files["svg.png"] = b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"
    try:
        import pillow_heif
    except ImportError:
        return files
    pillow_heif.register_heif_opener()
    add("scene.heic", "HEIF", quality=80)
    add("turned.heif", "HEIF", quality=80, exif=described().tobytes())
    return files
