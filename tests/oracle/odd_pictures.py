"""Writes PNGs of odd sizes and kinds into a folder, most of them cut from the first photograph.

    odd_pictures.py FOLDER PHOTOGRAPH...
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np


def words() -> np.ndarray:
    picture = np.full((300, 500, 3), 235, np.uint8)
    for i, text in enumerate(("DECOUPLED", "head 2026", "trt + det")):
        cv2.putText(picture, text, (20 + 60 * i, 70 + 90 * i), cv2.FONT_HERSHEY_DUPLEX, 2, (40 * i, 30, 120), 4)
    return picture


def main() -> None:
    folder, photograph = Path(sys.argv[1]), cv2.imread(sys.argv[2], cv2.IMREAD_COLOR)
    height, width = photograph.shape[:2]
    alpha = np.linspace(0, 255, width, dtype=np.uint8)[None].repeat(height, 0)
    pictures = {
        "photograph": photograph,
        "square": photograph[:320, :320],
        "small": photograph[100:137, 200:253],
        "pixel": photograph[:1, :1],
        "long": cv2.resize(photograph, (3000, 7), interpolation=cv2.INTER_AREA),
        "tall": photograph[:, :9],
        "grey": cv2.cvtColor(photograph, cv2.COLOR_BGR2GRAY),
        "alpha": np.dstack((photograph, alpha)),
        "deep": photograph[:200, :300].astype(np.uint16) * 257,
        "words": words(),
    }
    pictures |= {f"other{i}": cv2.imread(path, cv2.IMREAD_COLOR) for i, path in enumerate(sys.argv[3:])}
    for name, picture in pictures.items():
        if not cv2.imwrite(str(folder / f"{name}.png"), picture):
            raise SystemExit(f"{name}.png cannot be written")


if __name__ == "__main__":
    main()
