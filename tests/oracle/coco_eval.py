"""pycocotools' figures of COCO results: coco_eval.py ANNOTATIONS RESULTS prints JSON.

{"overall": its 12 stats, "classes": {category id: the same, of that category alone}, "seconds": what it took}
"""

from __future__ import annotations

import contextlib
import json
import sys
import time

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def stats(evaluation: COCOeval) -> list[float | None]:
    """The 12 figures; None where there is nothing to measure (-1)."""
    evaluation.summarize()
    return [None if v == -1 else float(v) for v in evaluation.stats]


def main() -> None:
    with contextlib.redirect_stdout(sys.stderr):
        start = time.perf_counter()
        truth = COCO(sys.argv[1])
        evaluation = COCOeval(truth, truth.loadRes(sys.argv[2]), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        overall = stats(evaluation)
        seconds = time.perf_counter() - start
        whole = dict(evaluation.eval)
        classes = {}
        for k, category in enumerate(evaluation.params.catIds):
            for name in ("precision", "recall"):
                evaluation.eval[name] = np.take(whole[name], [k], axis=2 if name == "precision" else 1)
            classes[int(category)] = stats(evaluation)
    print(json.dumps({"overall": overall, "classes": classes, "seconds": seconds}))


if __name__ == "__main__":
    main()
