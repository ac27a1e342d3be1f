"""Boxes from decoded rows, and how well they fit the labels: precision and recall at a threshold, mAP50.

Small and plain, to steer training by; the numbers to publish come from trtdet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from training.dataset import Pictures


@dataclass(frozen=True)
class Score:
    """What an evaluation found. precision and recall are at the threshold asked for, at IoU 0.5."""

    map50: float
    precision: float
    recall: float
    found: int
    wrong: int
    objects: int


def detect(rows: np.ndarray, conf: float, iou: float = 0.45) -> np.ndarray:
    """Returns the detections (K, 6) in rows (N, 5+nc): x1, y1, x2, y2, score, class; best first.

    Candidates by conf, then by conf times the best label; boxes of one class
    that overlap a better one by more than iou are dropped.
    """
    rows = rows[rows[:, 4] > conf]
    labels = rows[:, 5:] * rows[:, 4:5]
    classes = labels.argmax(1) if len(rows) else np.zeros(0, int)
    scores = labels[np.arange(len(rows)), classes]
    half = rows[:, 2:4] / 2
    boxes = np.concatenate((rows[:, :2] - half, rows[:, :2] + half, scores[:, None], classes[:, None]), 1)
    boxes = boxes[scores > conf]
    boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
    kept = []
    while len(boxes):
        best, boxes = boxes[0], boxes[1:]
        kept.append(best)
        boxes = boxes[(overlap(best[None], boxes)[0] <= iou) | (boxes[:, 5] != best[5])]
    return np.array(kept).reshape(-1, 6)


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the IoU (A, B) of boxes given as x1, y1, x2, y2 in their first four columns."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:4], b[None, :, 2:4])
    shared = np.clip(high - low, 0, None).prod(2)
    areas = [(x[:, 2:4] - x[:, :2]).prod(1) for x in (a, b)]
    return shared / (areas[0][:, None] + areas[1][None] - shared + 1e-9)


def match(detections: np.ndarray, objects: np.ndarray, iou: float = 0.5) -> np.ndarray:
    """Reports for each detection, best first, whether it found an object (n, 5: class, x1, y1, x2, y2) of its own."""
    free = np.ones(len(objects), bool)
    right = np.zeros(len(detections), bool)
    fits = overlap(detections, objects[:, 1:]) if len(objects) else np.zeros((len(detections), 0))
    for k, detection in enumerate(detections):
        allowed = np.where(free & (objects[:, 0] == detection[5]), fits[k], 0)
        if allowed.size and allowed.max() >= iou:
            right[k] = True
            free[allowed.argmax()] = False
    return right


@torch.no_grad()
def evaluate(network: nn.Module, pictures: Pictures, threshold: float, batch: int = 32) -> Score:
    """Returns how well the network does on pictures; precision and recall at a score of threshold."""
    network.eval()
    size = pictures.inputs.shape[-1]
    device = next(network.parameters()).device
    scores, classes, right, wanted = [], [], [], []
    for start in range(0, len(pictures), batch):
        indices = list(range(start, min(start + batch, len(pictures))))
        rows, _ = network(pictures.batch(indices)[0].to(device))
        for i, row in zip(indices, rows.cpu().numpy(), strict=True):
            found = detect(row, 0.01)
            objects = corners(pictures.objects[i], size)
            scores.append(found[:, 4])
            classes.append(found[:, 5])
            right.append(match(found, objects))
            wanted.append(objects[:, 0])
    score, label, hit, truth = (np.concatenate(part) for part in (scores, classes, right, wanted))
    sure = score >= threshold
    found, wrong = int(hit[sure].sum()), int((~hit[sure]).sum())
    return Score(
        map50=mean_average_precision(score, label, hit, truth),
        precision=found / max(found + wrong, 1),
        recall=found / max(len(truth), 1),
        found=found,
        wrong=wrong,
        objects=len(truth),
    )


def corners(objects: Tensor, size: int) -> np.ndarray:
    """Returns objects (n, 5: class, centre, size as shares) as class, x1, y1, x2, y2 in pixels of the input."""
    rows = objects.numpy() * np.array((1, size, size, size, size), np.float32)
    return np.concatenate((rows[:, :1], rows[:, 1:3] - rows[:, 3:] / 2, rows[:, 1:3] + rows[:, 3:] / 2), 1)


def mean_average_precision(score: np.ndarray, label: np.ndarray, hit: np.ndarray, truth: np.ndarray) -> float:
    """Returns the mean over the classes in truth of the area under precision by recall, made monotone."""
    areas = []
    for index in np.unique(truth):
        mine = label == index
        order = np.argsort(-score[mine], kind="stable")
        right = np.cumsum(hit[mine][order])
        recall = np.concatenate(((0.0,), right / (truth == index).sum()))
        precision = right / np.arange(1, len(right) + 1)
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        areas.append(float((np.diff(recall) * envelope).sum()))
    return float(np.mean(areas)) if areas else 0.0
