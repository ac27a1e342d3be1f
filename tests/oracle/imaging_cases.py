"""Cases for imaging's letterbox: random and smooth pictures of many sizes, laid by cv2.

Run by build/deps/venv's python (cv2 4): imaging_cases.py FOLDER
"""

from __future__ import annotations

import sys
from typing import Any

import cv2
import numpy as np
from blobs import Blobs
from letterbox import letterbox

RNG = np.random.default_rng(640)

SIZES = [
    # picture w, h, input w, h
    (1, 1, 64, 64),
    (1, 1, 32, 96),
    (1, 37, 64, 64),
    (37, 1, 64, 64),
    (2, 2, 64, 64),
    (2, 3, 640, 640),
    (3, 2, 320, 256),
    (3000, 7, 640, 640),
    (7, 3000, 640, 640),
    (3000, 7, 64, 64),
    (640, 640, 640, 640),
    (320, 320, 640, 640),
    (1280, 1280, 640, 640),
    (1280, 720, 640, 640),
    (1920, 1080, 640, 640),
    (1080, 1920, 640, 640),
    (1080, 1920, 416, 416),
    (810, 1080, 640, 640),
    (768, 576, 640, 640),
    (773, 512, 640, 640),
    (500, 375, 640, 640),
    (427, 640, 640, 640),
    (640, 427, 640, 384),
    (100, 50, 640, 640),
    (33, 77, 640, 480),
    (4000, 3000, 640, 640),
    (641, 641, 640, 640),
    (639, 639, 640, 640),
    (1279, 719, 320, 320),
    (97, 1013, 224, 192),
]


def picture(width: int, height: int, kind: str) -> np.ndarray:
    """Noise, or noise blurred: what a photograph is nearer to."""
    noise = RNG.integers(0, 256, (height, width, 3), np.uint8)
    if kind == "noise" or min(width, height) < 16:
        return noise
    smooth = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 3)
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min()) * 255
    return smooth.astype(np.uint8)


def main() -> None:
    blobs = Blobs(sys.argv[1])
    sizes = list(SIZES)
    for _ in range(40):
        w, h = (int(v) for v in RNG.integers(1, 700, 2))
        sizes.append((w, h, *(int(v) for v in RNG.integers(1, 14, 2) * 32)))
    cases: list[dict[str, Any]] = []
    for i, (width, height, input_w, input_h) in enumerate(sizes):
        kind = ("noise", "smooth")[i % 2]
        placement = ("center", "center", "top-left")[i % 3]
        pixels = picture(width, height, kind)
        laid, f = letterbox(pixels, input_w, input_h, placement)
        cases.append(
            {
                "name": f"{width}x{height} to {input_w}x{input_h} {placement} {kind}",
                "size": [width, height, input_w, input_h],
                "resized": [f.resized_w, f.resized_h],
                "placement": placement,
                "pixels": blobs.add(pixels),
                "want": blobs.add(laid),
            }
        )
    blobs.finish({"cv2": cv2.__version__, "letterbox": cases})


if __name__ == "__main__":
    main()
