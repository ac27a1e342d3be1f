"""YOLOv5's own letterbox, non_max_suppression and scale_boxes on arrays, for reference.py.

Run by /usr/bin/python3 with build/deps/oracle on its path: yolov5_functions.py letterbox|detect GIVEN.npz MADE.npz
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from yolov5.utils.augmentations import letterbox
from yolov5.utils.general import non_max_suppression, scale_boxes


def lay(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Pictures item0, item1, ... (h, w, 3) to the input's size (H, W)."""
    size = tuple(int(v) for v in given["size"])
    return {k: letterbox(v, size, auto=False)[0] for k, v in given.items() if k.startswith("item")}


def detect(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Decoded rows item0, ... (N, 5 + nc) to detections (n, 6) in pixels of pictures of the given sizes (h, w)."""
    size = tuple(int(v) for v in given["size"])
    classes = given["classes"].tolist() or None
    made = {}
    for i, picture in enumerate(given["sizes"].tolist()):
        rows = torch.from_numpy(given[f"item{i}"].copy())[None]
        found = non_max_suppression(
            rows,
            float(given["conf"]),
            float(given["iou"]),
            classes,
            bool(given["agnostic"]),
            max_det=int(given["max_det"]),
        )[0]
        scale_boxes(size, found[:, :4], picture)
        made[f"item{i}"] = found.numpy()
    return made


def main() -> None:
    task, source, target = sys.argv[1:]
    with np.load(source) as file:
        given = {k: file[k] for k in file.files}
    np.savez(target, **{"letterbox": lay, "detect": detect}[task](given))


if __name__ == "__main__":
    main()
