"""Image files of the kinds that people have, with the pixels that cv2.imread gives of each, or none where it refuses.

Run by build/deps/venv's python: image_files.py FOLDER
"""

from __future__ import annotations

import io
import os
import re
import struct
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any

os.environ["OPENCV_LOG_LEVEL"] = "SILENT"

import cv2
import numpy as np
import tiff_writer as tw
from blobs import Blobs
from PIL import Image, ImageCms

RNG = np.random.default_rng(19)
W, H = 61, 43


@dataclass
class Case:
    """A file. How it is read goes by cv2, but for what cv2 refuses and `meant` says."""

    name: str
    data: bytes
    tolerance: int = 0  # how far values may be apart
    refused: str = ""  # what trtdet calls a file that cv2 reads and trtdet does not
    meant: np.ndarray | None = None  # (h, w, 3), RGB
    like: bytes | None = None  # a file of the same image, where cv2 reads this one wrongly or not at all


def scene(width: int, height: int) -> np.ndarray:
    """A smooth image with colored edges and some noise (h, w, 3), RGB."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    image = np.stack([np.sin(x / 9 + k) * 60 + np.cos(y / (7 + k)) * 50 + 128 for k in range(3)], -1)
    for _ in range(6):
        cx, cy, r = RNG.uniform(0, width), RNG.uniform(0, height), RNG.uniform(2, 12)
        image[(x - cx) ** 2 + (y - cy) ** 2 < r * r] = RNG.uniform(0, 255, 3)
    return (image + RNG.uniform(-6, 6, image.shape)).clip(0, 255).astype(np.uint8)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def lab(image: Image.Image) -> Image.Image:
    return ImageCms.profileToProfile(
        image, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )


def samples() -> Iterator[tuple[str, np.ndarray, int, int, dict[int, tuple[int, list[int]]]]]:
    """Name, samples (h, w, n), bits, photometric and tags of TIFF files."""
    rgb = scene(W, H).astype(np.int64)
    gray, alpha = rgb[..., :1], RNG.integers(0, 256, (H, W, 1))
    rgba = np.concatenate((rgb, alpha), -1)
    noise = RNG.integers(0, 256, (H, W, 4))

    def wide(values: np.ndarray) -> np.ndarray:
        return values * 256 + RNG.integers(0, 256, values.shape)

    for photometric in (tw.WHITE_IS_ZERO, tw.BLACK_IS_ZERO):
        name = "white is zero" if photometric == tw.WHITE_IS_ZERO else "black is zero"
        for bits in (1, 8):
            yield f"{name} {bits} bit", gray >> (8 - bits), bits, photometric, {}
        yield f"{name} 16 bit", wide(gray), 16, photometric, {}
        for extra in (1, 2):
            yield f"{name} alpha {extra}", rgba[..., [0, 3]], 8, photometric, {338: (tw.SHORT, [extra])}
        yield f"{name} alpha 16 bit", wide(rgba[..., [0, 3]]), 16, photometric, {338: (tw.SHORT, [2])}
    for bits in (1, 4, 8):
        colors = [int(v) for v in RNG.integers(0, 65536, 3 << bits)]
        yield f"palette {bits} bit", gray >> (8 - bits), bits, tw.PALETTE, {320: (tw.SHORT, colors)}
        yield (
            f"palette {bits} bit of bytes",
            gray >> (8 - bits),
            bits,
            tw.PALETTE,
            {320: (tw.SHORT, [v >> 8 for v in colors])},
        )
    yield "rgb", rgb, 8, tw.RGB, {}
    yield "rgb 16 bit", wide(rgb), 16, tw.RGB, {}
    yield "rgb signed", rgb, 8, tw.RGB, {339: (tw.SHORT, [2, 2, 2])}
    yield "rgb 16 bit signed", wide(rgb), 16, tw.RGB, {339: (tw.SHORT, [2, 2, 2])}
    for extra in (0, 1, 2):
        yield f"rgba {extra}", rgba, 8, tw.RGB, {338: (tw.SHORT, [extra])}
        yield f"rgba {extra} 16 bit", wide(rgba), 16, tw.RGB, {338: (tw.SHORT, [extra])}
    yield "rgba unsaid", rgba, 8, tw.RGB, {}
    yield "cmyk", noise, 8, tw.CMYK, {}
    yield "cmyk of dots", noise, 8, tw.CMYK, {332: (tw.SHORT, [1]), 336: (tw.SHORT, [0, 255])}
    yield "lab", noise[..., :3], 8, tw.LAB, {}
    yield "lab of a scene", np.array(lab(Image.fromarray(rgb.astype(np.uint8)))).astype(np.int64), 8, tw.LAB, {}
    yield "lab 16 bit", wide(noise[..., :3]), 16, tw.LAB, {}
    white = {318: (tw.RATIONAL, [3127, 10000, 3290, 10000])}
    yield "lab of another white", noise[..., :3], 8, tw.LAB, white
    for across, down in ((1, 1), (2, 1), (2, 2), (1, 2), (4, 1), (4, 2), (4, 4)):
        yield f"ycbcr {across}x{down}", noise[..., :3], 8, tw.YCBCR, {530: (tw.SHORT, [across, down])}
    video = {532: (tw.RATIONAL, [v for n in (16, 235, 128, 240, 128, 240) for v in (n, 1)]), 530: (tw.SHORT, [1, 1])}
    yield "ycbcr of video", noise[..., :3], 8, tw.YCBCR, video
    luma = {529: (tw.RATIONAL, [2126, 10000, 7152, 10000, 722, 10000]), 530: (tw.SHORT, [1, 1])}
    yield "ycbcr of 709", noise[..., :3], 8, tw.YCBCR, luma
    # what is refused, or cv2 refuses
    for bits in (2, 4):
        yield f"black is zero {bits} bit", gray >> (8 - bits), bits, tw.BLACK_IS_ZERO, {}
        yield f"white is zero {bits} bit", gray >> (8 - bits), bits, tw.WHITE_IS_ZERO, {}
    yield "icclab", noise[..., :3], 8, 9, {}
    yield "cmyk 16 bit", wide(noise), 16, tw.CMYK, {}
    yield "other inks", noise, 8, tw.CMYK, {332: (tw.SHORT, [2])}
    yield "a mask", gray >> 7, 1, 4, {}


LAYOUTS = {
    "": {},
    "strips": {"rows": 8},
    "tiles": {"tile": (32, 16)},
    "planes": {"planar": True, "rows": 16},
    "planes of tiles": {"planar": True, "tile": (16, 32)},
}


def tiffs() -> Iterator[Case]:
    orders = cycle([("<", False), (">", False), ("<", True), (">", True)])
    predictors, reverses = cycle([False, True, True]), cycle([False] * 4 + [True])
    for name, pixels, bits, photometric, tags in samples():
        compressions = [tw.NONE, tw.LZW, tw.DEFLATE, tw.OLD_DEFLATE, tw.PACKBITS]
        if bits == 1 and photometric != tw.PALETTE:
            compressions += [tw.RLE, tw.G3, tw.G4]
        if bits == 8 and pixels.shape[2] != 2 and photometric in (tw.BLACK_IS_ZERO, tw.RGB, tw.CMYK, tw.LAB):
            compressions += [tw.JPEG]
        if name == "ycbcr 2x2":
            compressions += [tw.JPEG]
        for compression in compressions:
            for words, how in LAYOUTS.items():
                if how.get("planar") and pixels.shape[2] == 1:
                    continue
                order, big = next(orders)
                subsampled = name.startswith("ycbcr") and 530 in tags and max(tags[530][1]) > 1
                predictor = bits >= 8 and compression in (tw.LZW, tw.DEFLATE) and not subsampled and next(predictors)
                layout = tw.Layout(compression, order, big, predictor=predictor, tags=tags, **how)
                layout.reversed = compression != tw.JPEG and next(reverses)
                if compression == tw.JPEG and how.get("planar") and photometric == tw.YCBCR:
                    continue
                layout.two_dimensional = compression == tw.G3 and "strips" in words
                title = f"tiff {name}, compression {compression} {words} {'II' if order == '<' else 'MM'}"
                title += " big" * big + " predicted" * predictor + " reversed" * layout.reversed
                meant = None
                if bits in (2, 4) and photometric != tw.PALETTE:  # cv2 does not read gray of so few bits
                    levels = np.repeat(pixels * 255 // ((1 << bits) - 1), 3, 2).astype(np.uint8)
                    meant = levels if photometric == tw.BLACK_IS_ZERO else 255 - levels
                case = Case(title, tw.tiff(pixels, bits, photometric, layout), meant=meant)
                if photometric <= tw.BLACK_IS_ZERO and (bits == 16 or pixels.shape[2] == 2):
                    if words == "tiles":  # libtiff loses its place in tiles that reach over the edge
                        case.like = tw.tiff(pixels, bits, photometric, tw.Layout(tags=tags))
                    elif how.get("planar"):
                        case.refused = "each sample by itself"
                if compression == tw.JPEG and pixels.shape[2] == 4:
                    case.tolerance = 3  # Go's inverse DCT and libjpeg's may round apart
                yield case
    long = np.zeros((3, 9000, 1), np.int64)  # runs of every length
    for row, at in enumerate((0, 2000, 2600)):
        x, run = 0, at % 640
        while x < long.shape[1]:
            long[row, x : x + run] = 1
            x, run = x + 2 * run + 1, run + 1
    for compression in (tw.RLE, tw.G3, tw.G4):
        yield Case(f"tiff runs, compression {compression}", tw.tiff(long, 1, tw.WHITE_IS_ZERO, tw.Layout(compression)))
        noise = RNG.integers(0, 2, (40, 200, 1))
        for flat in (False, True):
            layout = tw.Layout(compression, two_dimensional=compression == tw.G3 and not flat)
            yield Case(f"tiff noise, compression {compression} {flat}", tw.tiff(noise, 1, tw.BLACK_IS_ZERO, layout))
    for name, kind, bits in (
        ("float", 3, 32),
        ("double", 3, 64),
        ("int", 1, 32),
        ("12 bit", 1, 12),
        ("complex", 6, 64),
    ):
        tags = {339: (tw.SHORT, [kind] * 3), 258: (tw.SHORT, [bits] * 3)}
        room = np.zeros((H, W, 3 * (bits + 7) // 8), np.int64)
        yield Case(f"tiff {name}", tw.tiff(room, 8, tw.RGB, tw.Layout(tags=tags | {277: (tw.SHORT, [3])})))


def by_libraries() -> Iterator[Case]:
    """TIFF files as Pillow and cv2 write them."""
    rgb = scene(W, H)
    image = Image.fromarray(rgb)
    alpha = Image.fromarray(RNG.integers(0, 256, (H, W), np.uint8))
    rgba = image.copy()
    rgba.putalpha(alpha)
    deep = Image.fromarray(rgb[..., 0].astype(np.uint16) * 256 + 200)
    images = {m: image.convert(m) for m in ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "I", "F")}
    images |= {
        "LAB": lab(image),
        "RGBA": rgba,
        "LA": rgba.convert("LA"),
        "PA": rgba.convert("LA").convert("PA"),
        "I;16": deep,
    }
    kinds = (
        None,
        "group3",
        "group4",
        "tiff_ccitt",
        "jpeg",
        "packbits",
        "tiff_lzw",
        "tiff_adobe_deflate",
        "tiff_deflate",
        "lzma",
        "zstd",
    )
    for mode, source in images.items():
        for kind in kinds:
            try:
                data = saved(source, "TIFF", compression=kind)
            except (OSError, RuntimeError, ValueError):
                continue  # it cannot be written
            refused = "JPEG of two samples" if (mode, kind) == ("LA", "jpeg") else ""
            # Go's inverse DCT and libjpeg's may round apart by one level, which the conversion doubles
            far = 3 if kind == "jpeg" and mode in ("CMYK", "RGBA", "RGBX") else 0
            yield Case(f"Pillow's tiff {mode} {kind}", data, tolerance=far, refused=refused)
        yield Case(f"Pillow's tiff {mode} big", saved(source, "TIFF", big_tiff=True))
        for o in range(1, 9):
            whole = saved(source, "TIFF", tiffinfo={274: o, 278: H})
            # cv2.imdecode turns an image on its side, cv2.imread finds that its size has changed
            yield Case(f"Pillow's tiff {mode} orientation {o}", whole, like=whole if o > 4 else None)
            strips = saved(source, "TIFF", tiffinfo={274: o, 278: 9})
            yield Case(f"Pillow's tiff {mode} orientation {o} in strips", strips, like=whole)
    arrays = {"uint8": rgb, "uint16": rgb.astype(np.uint16) * 250, "gray": rgb[..., 0], "int8": rgb.astype(np.int8)}
    arrays |= {
        "int16": rgb.astype(np.int16) * 100,
        "rgba": np.array(rgba),
        "rgba16": np.array(rgba).astype(np.uint16) * 257,
    }
    for name, array in arrays.items():
        for compression in (1, 5, 7, 8, 32773, 32946):
            for predictor in (1, 2):
                ok, data = cv2.imencode(
                    ".tiff", array, [cv2.IMWRITE_TIFF_COMPRESSION, compression, cv2.IMWRITE_TIFF_PREDICTOR, predictor]
                )
                if ok:
                    far = 3 if compression == 7 and array.shape[-1] == 4 else 0
                    yield Case(f"cv2's tiff {name} {compression} {predictor}", data.tobytes(), tolerance=far)
    unit = rgb.astype(np.float32) / 255
    yield Case("cv2's tiff float", cv2.imencode(".tiff", unit)[1].tobytes(), refused="LogLuv")
    yield Case("cv2's tiff float gray", cv2.imencode(".tiff", unit[..., 0])[1].tobytes())


def gif(
    frame: tuple[int, int, int, int],
    transparent: int = -1,
    local: bool = False,
    interlaced: bool = False,
    background: int = 0,
    colors: bool = True,
) -> bytes:
    """A GIF of 40x30 with one frame (x, y, width, height)."""
    x, y, w, h = frame
    palette = bytes([10, 20, 30, 200, 50, 60, 70, 180, 90, 100, 110, 240])
    indexed = Image.fromarray((np.arange(w * h) % 4).astype(np.uint8).reshape(h, w), "P")
    indexed.putpalette(palette)
    raw = saved(indexed, "GIF", interlace=0, optimize=False)
    at = raw.index(b",\0\0\0\0")
    behind = raw[at + 10 :]
    if raw[at + 9] & 0x80:
        behind = behind[3 * (2 << (raw[at + 9] & 7)) :]
    out = b"GIF89a" + struct.pack("<HHBBB", 40, 30, 0x81 if colors else 0, background, 0) + (palette if colors else b"")
    out += b"\x21\xf9\x04" + bytes([transparent >= 0, 0, 0, max(transparent, 0), 0])
    out += b"," + struct.pack("<HHHHB", *frame, (0x81 if local else 0) | (0x40 if interlaced else 0))
    return out + (palette[::-1] if local else b"") + behind


def webp_chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def moving_webp(frame: Image.Image, x: int, y: int, canvas: tuple[int, int], **options: Any) -> bytes:
    """An animated WebP whose first frame lies at (x, y)."""

    def three(v: int) -> bytes:
        return struct.pack("<I", v)[:3]

    frames = b""
    for flags in (0, 2):
        still = saved(frame, "WEBP", **options)[12:]
        if still[:4] == b"VP8X":
            still = still[18:]
        head = (
            three(x // 2)
            + three(y // 2)
            + three(frame.width - 1)
            + three(frame.height - 1)
            + three(100)
            + bytes([flags])
        )
        frames += webp_chunk(b"ANMF", head + still)
    body = webp_chunk(b"VP8X", bytes([0x12, 0, 0, 0]) + three(canvas[0] - 1) + three(canvas[1] - 1))
    body += webp_chunk(b"ANIM", bytes([200, 100, 50, 255, 0, 0])) + frames
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def moving() -> Iterator[Case]:
    for name, options in {
        "": {},
        "transparent": {"transparent": 1},
        "transparent background": {"transparent": 0},
        "local": {"local": True},
        "local transparent": {"local": True, "transparent": 2},
        "interlaced": {"interlaced": True},
        "background": {"background": 2, "transparent": 1},
        "no global": {"colors": False, "local": True, "transparent": 1},
    }.items():
        for frame in ((0, 0, 40, 30), (7, 3, 21, 17)):
            yield Case(f"gif {name} {frame}", gif(frame, **options))  # type: ignore[arg-type]
    frames = [Image.fromarray(scene(W, H)) for _ in range(3)]
    yield Case("gif still", saved(frames[0].quantize(200), "GIF"))
    yield Case("gif 87a", saved(frames[0].quantize(100), "GIF").replace(b"GIF89a", b"GIF87a"))
    yield Case("gif moving", saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    yield Case("gif of cv2", cv2.imencode(".gif", np.array(frames[0]))[1].tobytes())
    clear = frames[0].copy()
    clear.putalpha(Image.fromarray(RNG.integers(0, 256, (H, W), np.uint8)))
    for options in ({"lossless": True}, {"quality": 80}, {"lossless": True, "exact": True}):
        for words, first in (("", frames[0]), ("alpha", clear)):
            yield Case(
                f"webp moving {words} {options}",
                saved(first, "WEBP", save_all=True, append_images=frames[1:], **options),
            )
            data = moving_webp(first, 4, 6, (W + 11, H + 9), **options)
            yield Case(f"webp moving {words} {options} on a canvas", data)
    yield Case("png moving", saved(frames[0], "PNG", save_all=True, append_images=frames[1:]))


def digits(values: np.ndarray) -> bytes:
    return b"\n".join(b" ".join(b"%d" % v for v in row) for row in values.reshape(len(values), -1)) + b"\n"


def pnms() -> Iterator[Case]:
    rgb = scene(W, H)
    gray, size = rgb[..., 0], b"%d %d" % (W, H)
    for most in (1, 2, 100, 254, 255):
        for name, values in (("gray", gray), ("rgb", rgb)):
            kept = np.minimum(values, most)
            letter = b"25" if name == "gray" else b"36"
            yield Case(f"pnm {name} digits {most}", b"P%c\n%s\n%d\n" % (letter[0], size, most) + digits(kept))
            yield Case(f"pnm {name} {most}", b"P%c\n%s\n%d\n" % (letter[1], size, most) + kept.tobytes())
    for most in (256, 1000, 65535):
        for name, values in (("gray", gray), ("rgb", rgb)):
            kept = np.minimum(values.astype(">u2") * 256 + 77, most).astype(">u2")
            letter = b"25" if name == "gray" else b"36"
            yield Case(f"pnm {name} digits {most}", b"P%c %s %d\n" % (letter[0], size, most) + digits(kept))
            yield Case(f"pnm {name} {most}", b"P%c %s %d\n" % (letter[1], size, most) + kept.tobytes())
    bits = gray >> 7
    yield Case("pbm digits", b"P1\n%s\n" % size + digits(bits))
    yield Case("pbm digits without spaces", b"P1\n%s\n" % size + digits(bits).replace(b" ", b""))
    yield Case("pbm", b"P4\n%s\n" % size + np.packbits(bits, axis=1).tobytes())
    yield Case("pgm with comments", b"P5\n# a camera\n%d # wide\n%d\n#\n255\n" % (W, H) + gray.tobytes())
    yield Case("pgm digits with a comment", b"P2\n%s\n255\n# here\n" % size + digits(gray))
    yield Case("pgm over the greatest", b"P2\n%s\n100\n" % size + digits(gray))
    yield Case("pgm that starts with a #", b"P5\n%s\n255\n" % size + b"#" + gray.tobytes()[1:])
    yield Case("pgm cut", b"P5\n%s\n255\n" % size + gray.tobytes()[:-1])
    yield Case(
        "pam",
        b"P7\nWIDTH %d\nHEIGHT %d\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n" % (W, H) + rgb.tobytes(),
        refused="a PAM image",
    )
    for extension, kind in ((".pbm", gray), (".pgm", gray), (".ppm", rgb)):
        for binary in (0, 1):
            data = cv2.imencode(extension, kind, [cv2.IMWRITE_PXM_BINARY, binary])[1].tobytes()
            yield Case(f"cv2's {extension} {binary}", data)
    for mode in ("1", "L", "RGB", "I;16"):
        source = Image.fromarray(gray.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(rgb).convert(mode)
        yield Case(f"Pillow's ppm {mode}", saved(source, "PPM"))


def others() -> Iterator[Case]:
    """What cv2 reads and trtdet names."""
    image = Image.fromarray(scene(W, H))
    yield Case("avif", saved(image, "AVIF"), refused="an AVIF image")
    yield Case("jp2", saved(image, "JPEG2000"), refused="a JPEG 2000 image")
    yield Case("j2k", saved(image, "JPEG2000", no_jp2=True), refused="a JPEG 2000 image")
    unit = np.array(image).astype(np.float32) / 255
    yield Case("hdr", cv2.imencode(".hdr", unit)[1].tobytes(), refused="a Radiance HDR image")
    yield Case("pfm", cv2.imencode(".pfm", unit)[1].tobytes(), refused="a PFM image")


def truncated() -> Iterator[Case]:
    """JPEG files cut short, as far as cv2 reads them."""
    image = Image.fromarray(scene(160, 120))
    for name, options in {
        "420": {},
        "444": {"subsampling": 0},
        "gray": {},
        "progressive": {"progressive": True},
        "restarts": {"restart_marker_rows": 1},
    }.items():
        data = saved(image.convert("L") if name == "gray" else image, "JPEG", quality=90, **options)
        start = data.index(b"\xff\xda") + 20
        for cut in (1, 2, 3, 20, 300, 1000, len(data) // 2, len(data) - start):
            # releases of libjpeg-turbo smooth what a progressive file lacks in different ways
            yield Case(
                f"jpeg {name} without its last {cut}",
                data[:-cut],
                tolerance=16 if name == "progressive" and cut > 2 else 0,
            )
        if name == "progressive":  # whole scans are missing: nothing tells, but what the others hold
            scans = [m.start() for m in re.finditer(rb"\xff\xda", data)]
            for i, at in enumerate(scans[1:], 1):
                table = data.rfind(b"\xff\xc4", scans[i - 1], at)
                yield Case(f"jpeg progressive of {i} scans", data[: table if table > 0 else at], tolerance=16)


def main() -> None:
    blobs = Blobs(sys.argv[1])
    groups: dict[str, list[dict[str, Any]]] = {}
    with tempfile.NamedTemporaryFile() as file:
        for make in (tiffs, by_libraries, moving, pnms, others, truncated):
            cases = groups.setdefault(make.__name__, [])
            for case in make():
                with open(file.name, "wb") as f:
                    f.write(case.data)
                pixels = cv2.imread(file.name)  # a file, not its bytes: cv2 differs on truncated ones
                if case.like is not None:
                    pixels = cv2.imdecode(np.frombuffer(case.like, np.uint8), cv2.IMREAD_COLOR)
                pixels = case.meant if pixels is None else pixels[..., ::-1]
                entry: dict[str, Any] = {"name": case.name, "file": blobs.add(case.data)}
                entry |= {"tolerance": case.tolerance, "refused": case.refused}
                if pixels is not None:
                    entry |= {"width": pixels.shape[1], "height": pixels.shape[0]}
                    entry["pixels"] = blobs.add(np.ascontiguousarray(pixels))
                cases.append(entry)
    blobs.finish({"groups": groups})


if __name__ == "__main__":
    main()
