"""Times YOLOv5's decode (Detect) and non_max_suppression in torch on the maps of decode's BenchmarkHead.

Run by /usr/bin/python3 with build/deps/oracle on its path: bench_decode.py
"""

from __future__ import annotations

import time

import numpy as np
import torch
from yolov5.models.yolo import Detect
from yolov5.utils.general import non_max_suppression

ANCHORS = [[30, 60, 60, 40, 50, 90]] * 3


def maps(n: int) -> list[torch.Tensor]:
    """25200 predictions of 80 classes, of which n have a confidence over 0.25."""
    rng = np.random.default_rng(n)
    passing = np.zeros(25200, bool)
    passing[rng.permutation(25200)[:n]] = True
    result, at = [], 0
    for stride in (8, 16, 32):
        side = 640 // stride
        x = rng.uniform(-1, 3, (1, 3, 85, side, side)).astype(np.float32)
        here = passing[at : at + 3 * side * side].reshape(3, side, side)
        at += 3 * side * side
        x[0, :, 4] = np.where(here, rng.uniform(1, 4, here.shape), rng.uniform(-7, -6, here.shape))
        result.append(torch.from_numpy(x.reshape(1, 255, side, side)))
    return result


def main() -> None:
    detect = Detect(80, ANCHORS, [1] * 3).eval()
    detect.stride = torch.tensor([8.0, 16.0, 32.0])
    detect.anchors /= detect.stride.view(-1, 1, 1)
    detect.m = torch.nn.ModuleList(torch.nn.Identity() for _ in ANCHORS)
    for n in (100, 1000, 10000):
        inputs = maps(n)
        times = []
        with torch.no_grad():
            for _ in range(15):
                start = time.perf_counter()
                rows = detect(list(inputs))[0]
                middle = time.perf_counter()
                non_max_suppression(rows, 0.25, 0.45, max_det=1000)
                times.append((middle - start, time.perf_counter() - middle))
        decode, nms = np.median(np.array(times), 0) * 1e3
        print(f"{n} candidates: decode {decode:.2f} ms, NMS {nms:.2f} ms, {decode + nms:.2f} ms together")


if __name__ == "__main__":
    main()
