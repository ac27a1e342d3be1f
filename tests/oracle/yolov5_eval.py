"""YOLOv5's own figures: yolov5_eval.py CASES.json prints JSON.

Run by /usr/bin/python3 with build/deps/oracle on its path. A case has "classes" and "pictures", each of them
{"labels": [[class, x1, y1, x2, y2]], "detections": [[x1, y1, x2, y2, score, class]]}.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from yolov5.utils import metrics
from yolov5.val import process_batch


def stable_argsort(array: np.ndarray, *args: Any, **kwargs: Any) -> np.ndarray:
    """np.argsort leaves the order of equal scores open; the rule here is that of the pictures."""
    return np.lexsort((np.arange(len(array)), array)) if not args and not kwargs else ARGSORT(array, *args, **kwargs)


ARGSORT = np.argsort


def measure(case: dict[str, Any]) -> dict[str, Any]:
    start = time.perf_counter()
    thresholds = torch.linspace(0.5, 0.95, 10)
    confusion = metrics.ConfusionMatrix(nc=case["classes"])
    stats = []
    for picture in case["pictures"]:
        labels = torch.tensor(picture["labels"], dtype=torch.float32).reshape(-1, 5)
        found = torch.tensor(picture["detections"], dtype=torch.float32).reshape(-1, 6)
        correct = torch.zeros(len(found), 10, dtype=torch.bool)
        if len(labels) and len(found):
            correct = process_batch(found, labels, thresholds)
            confusion.process_batch(found, labels)
        stats.append((correct, found[:, 4], found[:, 5], labels[:, 0]))
    stats = [torch.cat(x, 0).numpy() for x in zip(*stats, strict=True)]
    tp, fp, p, r, f1, ap, classes = metrics.ap_per_class(*stats, names={})
    seconds = time.perf_counter() - start
    return {
        "classes": classes.tolist(),
        "precision": p.tolist(),
        "recall": r.tolist(),
        "f1": f1.tolist(),
        "ap": ap.tolist(),
        "confusion": confusion.matrix.tolist(),
        "seconds": seconds,
    }


def main() -> None:
    cases = json.loads(Path(sys.argv[1]).read_text())
    np.argsort = stable_argsort
    print(json.dumps([measure(case) for case in cases]))


if __name__ == "__main__":
    main()
