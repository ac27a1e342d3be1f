"""What YOLOv5's own val.py puts into a network: val_inputs.py IMGSZ,IMGSZ,... FOLDER

Run by /usr/bin/python3 with build/deps/oracle on its path. Makes images of many sizes under FOLDER and takes them
through YOLOv5's create_dataloader with the arguments that val.py gives it for an ONNX file (square inputs, batch 1).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from blobs import Blobs
from yolov5.utils.dataloaders import create_dataloader

SIZES = [
    # width, height
    (640, 640),
    (320, 320),
    (320, 213),
    (960, 640),
    (800, 641),
    (1280, 720),
    (641, 960),
    (525, 300),  # 525 * (320 / 525) is more than 320: val.py resizes twice
    (201, 1050),
    (319, 319),
    (321, 321),
    (147, 60),  # grows, to 321
    (50, 37),
    (33, 77),
    (10, 10),  # val.py passes over images with a side of less than 10 pixels
    (700, 10),
    (13, 1000),
    (639, 480),
]


def image(width: int, height: int, index: int) -> np.ndarray:
    rng = np.random.default_rng(index)
    noise = rng.integers(0, 256, (height, width, 3), np.uint8)
    return noise if index % 2 else cv2.blur(noise, (5, 5))


def main() -> None:
    folder = Path(sys.argv[2])
    images = folder / "images"
    images.mkdir(parents=True)
    for i, (width, height) in enumerate(SIZES):
        cv2.imwrite(str(images / f"{i:02}.png"), image(width, height, i))
    blobs = Blobs(str(folder))
    cases: list[dict[str, Any]] = []
    for imgsz in map(int, sys.argv[1].split(",")):
        loader = create_dataloader(str(images), imgsz, 1, 32, False, pad=0.5, rect=False, workers=0)[0]
        for inputs, _, paths, shapes in loader:
            gains, pad = shapes[0][1]
            cases.append(
                {
                    "imgsz": imgsz,
                    "path": paths[0],
                    "gains": list(gains)[::-1],  # YOLOv5 has the height's first
                    "pad": list(pad),
                    "input": blobs.add(inputs[0].numpy()),
                }
            )
    blobs.finish(cases)


if __name__ == "__main__":
    main()
