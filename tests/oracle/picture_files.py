"""Picture files of every kind that imaging reads, with the pixels that libjpeg, libwebp, libpng and libtiff
(through cv2 and Pillow) read from them.

Run by /usr/bin/python3: picture_files.py FOLDER
"""

from __future__ import annotations

import io
import sys
from typing import Any

import cv2
import numpy as np
from blobs import Blobs
from PIL import Image

RNG = np.random.default_rng(8)


def scene(width: int, height: int) -> np.ndarray:
    """A smooth picture with colored edges (h, w, 3), RGB."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waves = [np.sin(x / 9 + k) * 60 + np.cos(y / (7 + k)) * 50 + 128 for k in range(3)]
    picture = np.stack(waves, -1)
    for _ in range(12):
        cx, cy, r = RNG.uniform(0, width), RNG.uniform(0, height), RNG.uniform(2, 18)
        picture[(x - cx) ** 2 + (y - cy) ** 2 < r * r] = RNG.uniform(0, 255, 3)
    return picture.clip(0, 255).astype(np.uint8)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def by_cv2(data: bytes) -> np.ndarray:
    """What cv2.imread returns, as RGB: alpha dropped, 16 bits cut to 8."""
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def upright(stored: np.ndarray, orientation: int) -> np.ndarray:
    """A stored picture as its EXIF orientation says it is to be shown."""
    swapped = stored.transpose(1, 0, 2)
    return {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: swapped,
        6: np.rot90(stored, -1),
        7: swapped[::-1, ::-1],
        8: np.rot90(stored),
    }[orientation]


def encoded(extension: str, picture: np.ndarray, *options: int) -> bytes:
    ok, data = cv2.imencode(extension, picture, list(options))
    assert ok
    return data.tobytes()


def files() -> list[tuple[str, bytes, np.ndarray, int]]:
    """Name, file, pixels, and by how many levels a pixel may differ."""
    out: list[tuple[str, bytes, np.ndarray, int]] = []
    rgb = scene(123, 77)
    image = Image.fromarray(rgb)
    gray = image.convert("L")
    alpha = Image.fromarray(RNG.integers(0, 256, (77, 123), np.uint8))
    rgba = image.copy()
    rgba.putalpha(alpha)
    deep = (rgb.astype(np.uint16) << 8) + RNG.integers(0, 256, rgb.shape, np.uint16)

    # Go's inverse DCT and libjpeg's may round apart by one level, which color conversion can make three
    for w, h in ((123, 77), (64, 64), (1, 1), (2, 3), (3, 2), (5, 40), (40, 5), (17, 16)):
        some = Image.fromarray(scene(w, h))
        for name, sampling in (("444", 0), ("422", 1), ("420", 2)):
            data = saved(some, "JPEG", quality=90, subsampling=sampling)
            out.append((f"jpeg {name} {w}x{h}", data, by_cv2(data), 4))
    for name, options in (("progressive", {"progressive": True}), ("quality 30", {"quality": 30})):
        data = saved(image, "JPEG", **options)
        out.append((f"jpeg {name}", data, by_cv2(data), 4))
    data = saved(gray, "JPEG", quality=95)
    out.append(("jpeg gray", data, by_cv2(data), 2))
    cmyk = image.convert("CMYK")
    data = saved(cmyk, "JPEG", quality=100, subsampling=0)
    out.append(("jpeg cmyk", data, np.array(Image.open(io.BytesIO(data)).convert("RGB")), 5))

    for w, h in ((123, 77), (64, 64), (1, 1), (2, 3), (3, 2), (33, 1), (1, 34)):
        data = saved(Image.fromarray(scene(w, h)), "WEBP", quality=90)
        out.append((f"webp lossy {w}x{h}", data, by_cv2(data), 0))
    data = saved(image, "WEBP", lossless=True)
    out.append(("webp lossless", data, rgb, 0))
    data = saved(rgba, "WEBP", lossless=True, exact=True)
    out.append(("webp lossless alpha", data, rgb, 0))
    data = saved(rgba, "WEBP", quality=90, exact=True)
    out.append(("webp lossy alpha", data, np.array(Image.open(io.BytesIO(data)))[..., :3], 0))

    out.append(("png rgb", saved(image, "PNG"), rgb, 0))
    out.append(("png rgba", saved(rgba, "PNG"), rgb, 0))
    out.append(("png gray", saved(gray, "PNG"), np.array(gray.convert("RGB")), 0))
    la = Image.merge("LA", (gray, alpha))
    out.append(("png gray alpha", saved(la, "PNG"), np.array(gray.convert("RGB")), 0))
    palette = image.quantize(200)
    out.append(("png palette", saved(palette, "PNG"), np.array(palette.convert("RGB")), 0))
    data = saved(palette, "PNG", transparency=bytes(RNG.integers(0, 256, 200, np.uint8)))
    out.append(("png palette alpha", data, np.array(palette.convert("RGB")), 0))
    few = image.quantize(4)
    out.append(("png palette 2 bit", saved(few, "PNG", bits=2), np.array(few.convert("RGB")), 0))
    bilevel = image.convert("1")
    out.append(("png 1 bit", saved(bilevel, "PNG"), np.array(bilevel.convert("RGB")), 0))
    data = encoded(".png", deep[..., ::-1])
    out.append(("png rgb 16 bit", data, by_cv2(data), 0))
    data = encoded(".png", np.concatenate((deep[..., ::-1], deep[..., :1]), -1))
    out.append(("png rgba 16 bit", data, (deep >> 8).astype(np.uint8), 0))
    data = encoded(".png", deep[..., 0])
    out.append(("png gray 16 bit", data, by_cv2(data), 0))

    out.append(("bmp 24 bit", saved(image, "BMP"), rgb, 0))
    out.append(("bmp 8 bit", saved(palette, "BMP"), np.array(palette.convert("RGB")), 0))
    out.append(("bmp gray", saved(gray, "BMP"), np.array(gray.convert("RGB")), 0))
    out.append(("bmp 32 bit", saved(rgba, "BMP"), rgb, 0))

    for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        out.append((f"tiff {compression}", saved(image, "TIFF", compression=compression), rgb, 0))
    out.append(("tiff gray", saved(gray, "TIFF"), np.array(gray.convert("RGB")), 0))
    out.append(("tiff palette", saved(palette, "TIFF"), np.array(palette.convert("RGB")), 0))
    data = saved(rgba, "TIFF")
    out.append(("tiff rgba", data, by_cv2(data), 0))
    data = encoded(".tiff", deep[..., ::-1])
    out.append(("tiff rgb 16 bit", data, by_cv2(data), 0))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        exif[0x010F] = "a camera"
        for kind, options in (("JPEG", {"quality": 95, "subsampling": 0}), ("PNG", {}), ("WEBP", {"lossless": True})):
            data = saved(image, kind, exif=exif.tobytes(), **options)
            pixels = by_cv2(data) if kind == "JPEG" else upright(rgb, orientation)
            assert pixels.shape == upright(rgb, orientation).shape
            assert np.abs(pixels.astype(int) - upright(rgb, orientation)).mean() < 3
            out.append((f"{kind} orientation {orientation}", data, pixels, 4 if kind == "JPEG" else 0))
        data = saved(image, "TIFF", tiffinfo={0x0112: orientation})
        out.append((f"TIFF orientation {orientation}", data, upright(rgb, orientation), 0))
    return out


def main() -> None:
    blobs = Blobs(sys.argv[1])
    cases = []
    for name, data, pixels, tolerance in files():
        height, width = pixels.shape[:2]
        assert pixels.shape == (height, width, 3), name
        cases.append(
            {
                "name": name,
                "width": width,
                "height": height,
                "tolerance": tolerance,
                "file": blobs.add(data),
                "pixels": blobs.add(np.ascontiguousarray(pixels)),
            }
        )
    blobs.finish({"files": cases})


if __name__ == "__main__":
    main()
