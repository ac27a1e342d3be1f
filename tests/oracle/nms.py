"""YOLOv5's non_max_suppression in numpy, in torchvision's float32 order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MAX_WH = np.float32(7680)
MAX_NMS = 30000


def candidates(
    rows: np.ndarray, conf: float, multi_label: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows (N, 5 + nc) to corners, scores, classes and row numbers of those over conf; finite ones only.

    A row is there once, with its best label, or with multi_label once for each label over conf.
    """
    conf32 = np.float32(conf)
    index = np.flatnonzero((rows[:, 4] > conf32) & np.isfinite(rows).all(1))
    rows = rows[index]
    scores = rows[:, 5:] * rows[:, 4:5]
    half = rows[:, 2:4] / 2
    boxes = np.concatenate((rows[:, :2] - half, rows[:, :2] + half), 1)
    if multi_label:
        row, classes = np.nonzero(scores > conf32)
        return boxes[row], scores[row, classes], classes, index[row]
    classes = scores.argmax(1) if len(scores) else np.zeros(0, np.int64)
    best = scores[np.arange(len(scores)), classes]
    keep = best > conf32
    return boxes[keep], best[keep], classes[keep], index[keep]


def suppress(boxes: np.ndarray, scores: np.ndarray, iou: float) -> list[int]:
    """torchvision.ops.nms: greedy, best first, equal scores in order; IoU > iou suppresses."""
    x1, y1, x2, y2 = boxes.T
    areas = (x2 - x1) * (y2 - y1)
    order = np.argsort(-scores, kind="stable")
    zero = np.float32(0)
    kept = []
    while len(order):
        i, rest = order[0], order[1:]
        kept.append(int(i))
        w = np.maximum(np.minimum(x2[i], x2[rest]) - np.maximum(x1[i], x1[rest]), zero)
        h = np.maximum(np.minimum(y2[i], y2[rest]) - np.maximum(y1[i], y1[rest]), zero)
        inter = w * h
        with np.errstate(invalid="ignore", divide="ignore"):
            overlap = inter / (areas[i] + areas[rest] - inter)
        order = rest[~(overlap.astype(np.float64) > iou)]
    return kept


def nms(
    rows: np.ndarray,
    conf: float,
    iou: float,
    classes: Sequence[int] = (),
    agnostic: bool = False,
    max_det: int = 1000,
    multi_label: bool = False,
) -> np.ndarray:
    """Detections (n, 6) of decoded rows: corners, score, class; best first."""
    boxes, scores, labels, _ = candidates(rows, conf, multi_label)
    if classes:
        wanted = np.isin(labels, list(classes))
        boxes, scores, labels = boxes[wanted], scores[wanted], labels[wanted]
    order = np.argsort(-scores, kind="stable")[:MAX_NMS]
    boxes, scores, labels = boxes[order], scores[order], labels[order]
    offset = labels.astype(np.float32)[:, None] * (np.float32(0) if agnostic else MAX_WH)
    kept = suppress(boxes + offset, scores, iou)[:max_det]
    found = np.concatenate((boxes, scores[:, None], labels[:, None].astype(np.float32)), 1)
    return found[kept]
