"""TIFF files of every kind, for image_files.py: no library writes all of them."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

NONE, RLE, G3, G4, LZW, JPEG, DEFLATE, PACKBITS, OLD_DEFLATE = 1, 2, 3, 4, 5, 7, 8, 32773, 32946
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
SHORT, LONG, RATIONAL, LONG8 = 3, 4, 5, 16
SIZES = {SHORT: 2, LONG: 4, RATIONAL: 8, LONG8: 8}


@dataclass
class Layout:
    """How samples lie in a file."""

    compression: int = NONE
    order: str = "<"
    big: bool = False
    rows: int = 0  # of a strip; 0: one strip
    tile: tuple[int, int] = (0, 0)  # width, height; 0: strips
    planar: bool = False
    predictor: bool = False
    reversed: bool = False  # FillOrder 2
    two_dimensional: bool = False  # CCITT group 3
    tags: dict[int, tuple[int, list[int]]] = field(default_factory=dict)


def pillow_strip(image: Image.Image, **options: object) -> bytes:
    """The only strip of an image that Pillow (libtiff) writes as a TIFF."""
    buffer = io.BytesIO()
    info = {278: image.height, **options.pop("tiffinfo", {})}  # type: ignore[dict-item]
    image.save(buffer, "TIFF", tiffinfo=info, **options)
    tags = Image.open(io.BytesIO(buffer.getvalue())).tag_v2  # type: ignore[attr-defined]
    assert len(tags[273]) == 1
    return buffer.getvalue()[tags[273][0] :][: tags[279][0]]


def lzw(data: bytes) -> bytes:
    """TIFF's LZW, which is a code early to widen."""
    out, held, count = bytearray(), 0, 0

    def put(code: int, width: int) -> None:
        nonlocal held, count
        held, count = held << width | code, count + width
        while count >= 8:
            count -= 8
            out.append(held >> count & 255)
        held &= (1 << count) - 1

    table, width = {bytes([i]): i for i in range(256)}, 9
    put(256, 9)
    word = b""
    for i in range(len(data)):
        longer = word + data[i : i + 1]
        if longer in table:
            word = longer
            continue
        put(table[word], width)
        table[longer] = len(table) + 2
        if len(table) + 2 == 4094:
            put(256, width)
            table, width = {bytes([i]): i for i in range(256)}, 9
        else:
            width = max(9, (len(table) + 2).bit_length())
        word = data[i : i + 1]
    put(table[word], width)
    # the decoder has added an entry that the encoder has not
    width = max(9, min(12, (len(table) + 3).bit_length()))
    put(257, width)
    put(0, 7)
    return bytes(out)


def packbits(data: bytes) -> bytes:
    out = bytearray()
    i = 0
    while i < len(data):
        run = 1
        while run < 128 and data[i + run : i + run + 1] == data[i : i + 1]:
            run += 1
        if run > 2:
            out += bytes([257 - run, data[i]])
            i += run
            continue
        end = i + 1
        while end < len(data) and end - i < 128 and not data[end] == data[end - 1]:
            end += 1
        out += bytes([end - i - 1]) + data[i:end]
        i = end
    return bytes(out)


def packed(rows: np.ndarray, bits: int, order: str) -> np.ndarray:
    """Samples (h, n) as rows of bytes."""
    if bits == 16:
        return rows.astype(order + "u2").view(np.uint8)
    if bits == 8:
        return rows.astype(np.uint8)
    planes = [(rows >> (bits - 1 - k)) & 1 for k in range(bits)]
    return np.packbits(np.stack(planes, -1).reshape(len(rows), -1).astype(np.uint8), axis=1)


def jpeg(samples: np.ndarray, photometric: int) -> bytes:
    """A JPEG of a chunk (h, w, n), its colors stored as the photometric tag says."""
    buffer = io.BytesIO()
    options: dict[str, object] = {"quality": 90}
    if samples.shape[2] == 3:
        options |= {"subsampling": 2} if photometric == YCBCR else {"keep_rgb": True}
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[samples.shape[2]]
    shape = samples.shape[:2] if mode == "L" else samples.shape
    Image.fromarray(samples.astype(np.uint8).reshape(shape), mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def fax(samples: np.ndarray, layout: Layout) -> bytes:
    """CCITT compression of bits (h, w), of which the set ones are black."""
    name = {RLE: "tiff_ccitt", G3: "group3", G4: "group4"}[layout.compression]
    info = {292: 1} if layout.two_dimensional else {}
    return pillow_strip(Image.fromarray(samples.astype(bool)), compression=name, tiffinfo=info)


def chunk(samples: np.ndarray, bits: int, photometric: int, layout: Layout) -> bytes:
    """The bytes of a strip or tile of samples (h, w, n)."""
    if layout.compression == JPEG:
        return jpeg(samples, photometric)
    if layout.compression in (RLE, G3, G4):
        data = fax(samples[..., 0], layout)
    else:
        if layout.predictor:
            samples = samples.copy()
            samples[:, 1:] -= samples[:, :-1].copy()
            samples &= (1 << bits) - 1
        data = packed(samples.reshape(len(samples), -1), bits, layout.order).tobytes()
        pack = {LZW: lzw, PACKBITS: packbits, DEFLATE: zlib.compress, OLD_DEFLATE: zlib.compress}
        data = pack.get(layout.compression, bytes)(data)
    if layout.reversed:
        data = bytes(int(f"{b:08b}"[::-1], 2) for b in data)
    return data


def units(samples: np.ndarray, across: int, down: int) -> np.ndarray:
    """YCbCr (h, w, 3) as rows of units: luma of across x down pixels, Cb, Cr."""
    h, w = samples.shape[:2]
    samples = np.pad(samples, ((0, -h % down), (0, -w % across), (0, 0)), "edge")
    h, w = samples.shape[:2]
    luma = (
        samples[..., 0]
        .reshape(h // down, down, w // across, across)
        .transpose(0, 2, 1, 3)
        .reshape(h // down, w // across, -1)
    )
    return np.concatenate((luma, samples[::down, ::across, 1:]), -1)


def tiff(samples: np.ndarray, bits: int, photometric: int, layout: Layout) -> bytes:
    """A file of samples (h, w, n)."""
    samples = samples.astype(np.int64)
    h, w, n = samples.shape
    chunks: list[bytes] = []
    subsampled = layout.tags.get(530) if layout.compression != JPEG else None
    for plane in range(n if layout.planar else 1):
        part = samples[..., plane : plane + 1] if layout.planar else samples
        width, height = layout.tile if layout.tile[0] else (w, layout.rows or h)
        for top in range(0, h, height):
            for left in range(0, w, width):
                piece = part[top : top + height, left : left + width]
                if layout.tile[0]:
                    ph, pw = piece.shape[:2]
                    piece = np.pad(piece, ((0, height - ph), (0, width - pw), (0, 0)), "edge")
                if subsampled:
                    piece = units(piece, *subsampled[1])
                chunks.append(chunk(piece, bits, photometric, layout))
    tags: dict[int, tuple[int, list[int]]] = {
        256: (LONG, [w]),
        257: (LONG, [h]),
        258: (SHORT, [bits] * n),
        259: (SHORT, [layout.compression]),
        262: (SHORT, [photometric]),
        277: (SHORT, [n]),
        284: (SHORT, [2 if layout.planar else 1]),
    }
    if layout.predictor:
        tags[317] = (SHORT, [2])
    if layout.reversed:
        tags[266] = (SHORT, [2])
    if layout.two_dimensional:
        tags[292] = (LONG, [1])
    tags |= layout.tags
    wide = LONG8 if layout.big else LONG
    offsets, sizes = 273, 279
    if layout.tile[0]:
        offsets, sizes = 324, 325
        tags |= {322: (LONG, [layout.tile[0]]), 323: (LONG, [layout.tile[1]])}
    else:
        tags[278] = (LONG, [layout.rows or h])
    at = 16
    places = []
    for c in chunks:
        places.append(at)
        at += len(c) + len(c) % 2
    tags |= {offsets: (wide, places), sizes: (wide, [len(c) for c in chunks])}
    body = b"".join(c + bytes(len(c) % 2) for c in chunks)
    return with_directory(body, tags, layout)


def with_directory(body: bytes, tags: dict[int, tuple[int, list[int]]], layout: Layout) -> bytes:
    """The file's head, 16 bytes, its body and its tags."""
    o, at = layout.order, 16 + len(body)
    head = (b"II" if o == "<" else b"MM") + (
        struct.pack(o + "HHHQ", 43, 8, 0, at) if layout.big else struct.pack(o + "HIQ", 42, at, 0)
    )
    count, number, room = ("Q", "Q", 8) if layout.big else ("H", "I", 4)
    entries, values = b"", b""
    behind = at + struct.calcsize(o + count) + len(tags) * (4 + 2 * room) + room
    for tag, (kind, numbers) in sorted(tags.items()):
        form = {SHORT: "H", LONG: "I", LONG8: "Q", RATIONAL: "I"}[kind]
        value = struct.pack(f"{o}{len(numbers)}{form}", *numbers)
        many = len(numbers) // (2 if kind == RATIONAL else 1)
        entries += struct.pack(o + "HH" + number, tag, kind, many)
        if len(value) > room:
            entries += struct.pack(o + number, behind + len(values))
            values += value + bytes(len(value) % 2)
        else:
            entries += value.ljust(room, b"\0")
    return head + body + struct.pack(o + count, len(tags)) + entries + bytes(room) + values
