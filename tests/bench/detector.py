"""A detector in NumPy, OpenCV and ONNX Runtime, as good as Python has it: what the peers that batch requests compute.

Only predictions whose objectness passes are decoded. Runs under /usr/bin/python3.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import cv2
import numpy as np

# ONNX Runtime stands in the tests' own environment, behind the packages of the system's Python
sys.path += map(str, Path(__file__).resolve().parents[2].glob("build/deps/venv/lib/python3*/site-packages"))

import onnxruntime  # noqa: E402 (the path has to be set first)

IOU = 0.45
STRIDES = (8, 16, 32)


def session(path: str, threads: int) -> onnxruntime.InferenceSession:
    """Returns a network on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class Detector:
    """One network with raw maps (B, na*(5+nc), ny, nx), on one thread. Its calls may come from several."""

    def __init__(self, path: str, size: int, conf: float) -> None:
        cv2.setNumThreads(1)
        self.session = session(path, 1)
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.anchors = [np.array(level, np.float32).reshape(-1, 2) for level in ast.literal_eval(metadata["anchors"])]
        self.size, self.conf = size, conf

    def letterbox(self, picture: np.ndarray) -> tuple[np.ndarray, float, int, int]:
        """Returns a BGR picture of (h, w, 3) as (3, size, size) in RGB, 0 to 1, its gain, left and top."""
        height, width = picture.shape[:2]
        gain = min(self.size / height, self.size / width)
        w, h = round(width * gain), round(height * gain)
        if (w, h) != (width, height):
            picture = cv2.resize(picture, (w, h), interpolation=cv2.INTER_LINEAR)
        left, top = (self.size - w) // 2, (self.size - h) // 2
        laid = np.full((3, self.size, self.size), 114 / 255, np.float32)
        inside = laid[:, top : top + h, left : left + w]
        np.multiply(picture[..., ::-1].transpose(2, 0, 1), np.float32(1 / 255), out=inside)
        return laid, gain, left, top

    def detect(self, pictures: list[np.ndarray]) -> list[np.ndarray]:
        """Returns (n, 6) of each BGR picture: x1, y1, x2, y2 in its pixels, score, class."""
        laid = [self.letterbox(p) for p in pictures]
        batch, rows = self.decode(self.session.run(None, {"images": np.stack([x for x, *_ in laid])}))
        found = []
        for i, (picture, (_, gain, left, top)) in enumerate(zip(pictures, laid, strict=True)):
            own = rows[batch == i]
            if len(own):
                apart = own[:, :2] + own[:, 5:] * 4096  # boxes of other classes do not overlap there
                sides = np.concatenate([apart, own[:, 2:4] - own[:, :2]], 1)
                own = own[cv2.dnn.NMSBoxes(sides.tolist(), own[:, 4].tolist(), self.conf, IOU)]
                height, width = picture.shape[:2]
                own[:, :4] = ((own[:, :4] - (left, top, left, top)) / gain).clip(0, (width, height, width, height))
                own = own[(own[:, 2] > own[:, 0]) & (own[:, 3] > own[:, 1])]
            found.append(own)
        return found

    def decode(self, maps: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Returns the picture of each prediction that passes, and (n, 6) in pixels of the input."""
        batches, rows = [], []
        limit = np.log(self.conf / (1 - self.conf))
        for m, anchors, stride in zip(maps, self.anchors, STRIDES, strict=True):
            n, _, ny, nx = m.shape
            m = m.reshape(n, len(anchors), -1, ny, nx)
            b, a, y, x = np.nonzero(m[:, :, 4] > limit)
            v = 1 / (1 + np.exp(-m[b, a, :, y, x]))
            label = v[:, 5:].argmax(1)
            score = v[:, 4] * v[np.arange(len(v)), 5 + label]
            centre = (v[:, :2] * 2 - 0.5 + np.stack([x, y], 1)) * stride
            half = (v[:, 2:4] * 2) ** 2 * anchors[a] / 2
            keep = score > self.conf
            batches.append(b[keep])
            rows.append(np.column_stack([centre - half, centre + half, score, label])[keep].astype(np.float32))
        return np.concatenate(batches), np.concatenate(rows)
