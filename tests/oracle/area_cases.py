"""Cases for imaging's resizes: random and smooth images of many sizes, resized by cv2 with INTER_AREA and INTER_LINEAR.

Run by build/deps/venv's python (cv2 4): area_cases.py FOLDER
"""

from __future__ import annotations

import sys
from typing import Any

import cv2
import numpy as np
from blobs import Blobs
from imaging_cases import picture

RNG = np.random.default_rng(27)

# image w, h to w, h
SIZES = [
    # whole ratios: sums of integers
    (1280, 960, 640, 480),
    (1281, 641, 427, 641),
    (96, 96, 32, 32),
    (96, 64, 48, 64),
    (64, 96, 64, 32),
    (640, 480, 160, 160),
    (70, 35, 10, 7),
    (1280, 1280, 64, 64),
    (3, 3, 1, 1),
    (2, 2, 1, 1),
    (255, 255, 1, 1),
    (3000, 7, 1000, 7),
    (6, 6, 6, 6),
    # whole ratios that two divisions in float64 do not give
    (49, 98, 1, 2),
    (98, 98, 2, 2),
    (103, 206, 1, 2),
    (107, 107, 1, 1),
    (5880, 80, 60, 40),
    (80, 5880, 40, 60),
    # others: weights in float32
    (1920, 1080, 640, 360),
    (1920, 1081, 640, 361),
    (1080, 1920, 360, 640),
    (1080, 1920, 234, 416),
    (810, 1080, 480, 640),
    (768, 576, 640, 480),
    (773, 512, 640, 424),
    (500, 375, 320, 240),
    (1279, 719, 320, 180),
    (641, 641, 640, 640),
    (4000, 3000, 640, 480),
    (3000, 7, 640, 2),
    (7, 3000, 2, 640),
    (5, 5, 3, 2),
    (3, 2, 2, 2),
    (1, 37, 1, 5),
    (37, 1, 5, 1),
    (97, 1013, 22, 224),
    (1001, 1000, 1000, 999),
]


def main() -> None:
    blobs = Blobs(sys.argv[1])
    sizes = list(SIZES)
    for _ in range(60):
        w, h = (int(v) for v in RNG.integers(1, 700, 2))
        sizes.append((w, h, int(RNG.integers(1, w + 1)), int(RNG.integers(1, h + 1))))
    cases: list[dict[str, Any]] = []
    for i, (width, height, to_w, to_h) in enumerate(sizes):
        kind = ("noise", "smooth")[i % 2]
        pixels = picture(width, height, kind)
        for how, flag in (("area", cv2.INTER_AREA), ("linear", cv2.INTER_LINEAR)):
            cases.append(
                {
                    "name": f"{width}x{height} to {to_w}x{to_h} {how} {kind}",
                    "size": [width, height],
                    "resized": [to_w, to_h],
                    "how": how,
                    "pixels": blobs.add(pixels),
                    "want": blobs.add(cv2.resize(pixels, (to_w, to_h), interpolation=flag)),
                }
            )
    for width, height, to_w, to_h in [(50, 37, 320, 237), (1, 1, 64, 64), (33, 77, 275, 640), (100, 50, 100, 51)]:
        pixels = picture(width, height, "noise")
        want = cv2.resize(pixels, (to_w, to_h), interpolation=cv2.INTER_LINEAR)
        cases.append(
            {
                "name": f"{width}x{height} to {to_w}x{to_h} linear",
                "size": [width, height],
                "resized": [to_w, to_h],
                "how": "linear",
                "pixels": blobs.add(pixels),
                "want": blobs.add(want),
            }
        )
    blobs.finish({"cv2": cv2.__version__, "resize": cases})


if __name__ == "__main__":
    main()
