"""Cases for decode's tests: random maps of every layout, their candidates by numpy and, for the stock
layout, by YOLOv5's own Detect; suppressions and letterbox geometry by YOLOv5's own functions.

Run by /usr/bin/python3 with build/deps/oracle on its path: decode_cases.py FOLDER
"""

from __future__ import annotations

import sys
from typing import Any

import heads
import nms
import numpy as np
import torch
from blobs import Blobs
from letterbox import fit
from yolov5.models.yolo import Detect
from yolov5.utils.augmentations import letterbox
from yolov5.utils.general import non_max_suppression, scale_boxes

RNG = np.random.default_rng(20261123)
STRIDES = (8, 16, 32, 64)
BATCH = 2


def random_head(layout: str, family: str, na: int, levels: int, nc: int, applied: bool) -> dict[str, Any]:
    """The JSON of a decode.Head; `split` has three outputs a level, `split-1` one."""
    outputs = {"split": 3}.get(layout, 1)
    head: dict[str, Any] = {
        "family": family,
        "layout": layout.removesuffix("-1"),
        "classes": nc,
        "sigmoid_applied": applied,
        "levels": [],
    }
    if layout in ("rows", "columns"):
        head["levels"] = [{"outputs": ["output0"]}]
        return head
    for i in range(levels):
        level: dict[str, Any] = {"stride": STRIDES[i], "outputs": [f"map{i}_{k}" for k in range(outputs)]}
        if layout == "rows-grid":
            level["outputs"] = ["output0"]
        if family == "yolov5":
            level["anchors"] = (RNG.uniform(1, 6, (na, 2)) * STRIDES[i]).astype(np.float32).tolist()
        head["levels"].append(level)
    return head


def shapes(head: dict[str, Any], na: int, width: int, height: int) -> dict[str, list[int]]:
    """The shape of each output for an input of width x height."""
    nc = head["classes"]
    cells = [(-(-height // lv["stride"]), -(-width // lv["stride"])) for lv in head["levels"] if "stride" in lv]
    layout = head["layout"]
    if layout == "rows":
        return {"output0": [BATCH, 333, 5 + nc]}
    if layout == "columns":
        return {"output0": [BATCH, 4 + nc, 333]}
    if layout == "rows-grid":
        return {"output0": [BATCH, sum(y * x for y, x in cells), 5 + nc]}
    result = {}
    for level, (ny, nx) in zip(head["levels"], cells, strict=True):
        if layout == "5d":
            result[level["outputs"][0]] = [BATCH, na, ny, nx, 5 + nc]
        elif len(level["outputs"]) == 1:
            result[level["outputs"][0]] = [BATCH, na * (5 + nc), ny, nx]
        else:
            for name, channels in zip(level["outputs"], (na * 4, na, na * nc), strict=True):
                result[name] = [BATCH, channels, ny, nx]
    return result


def random_outputs(head: dict[str, Any], na: int, width: int, height: int) -> dict[str, np.ndarray]:
    outputs = {}
    for name, shape in shapes(head, na, width, height).items():
        x = RNG.normal(0, 2, shape)
        if head["layout"] in ("rows", "columns"):
            x = RNG.uniform(0, 1, shape)
            boxes = x[..., :4] if head["layout"] == "rows" else x[:, :4].swapaxes(1, 2)
            boxes *= [width, height, width / 2, height / 2]
        elif head["sigmoid_applied"]:
            x = 1 / (1 + np.exp(-x))
        outputs[name] = x.astype(np.float32)
    return outputs


def own_detect(head: dict[str, Any], outputs: dict[str, np.ndarray]) -> np.ndarray:
    """Rows (B, N, 5 + nc) by YOLOv5's Detect, its convs replaced by the maps themselves."""
    anchors = [np.array(lv["anchors"], np.float32).reshape(-1).tolist() for lv in head["levels"]]
    detect = Detect(head["classes"], anchors, [1] * len(anchors)).eval()
    detect.stride = torch.tensor([float(lv["stride"]) for lv in head["levels"]])
    detect.anchors /= detect.stride.view(-1, 1, 1)
    detect.m = torch.nn.ModuleList(torch.nn.Identity() for _ in anchors)
    with torch.no_grad():
        return detect([torch.from_numpy(outputs[lv["outputs"][0]]) for lv in head["levels"]])[0].numpy()


def candidate_rows(rows: np.ndarray, conf: float, multi_label: bool) -> np.ndarray:
    """(n, 7): corners, score, class, row number."""
    boxes, scores, classes, index = nms.candidates(rows, conf, multi_label)
    return np.concatenate((boxes, np.stack((scores, classes, index), 1)), 1).astype(np.float32)


def near(rows: np.ndarray, conf: float) -> list[int]:
    """Rows so near the threshold that one rounding decides about them."""
    scores = np.concatenate((rows[:, 4:5], rows[:, 5:] * rows[:, 4:5]), 1)
    return np.flatnonzero((np.abs(scores - np.float32(conf)) < 1e-6).any(1)).tolist()


def decode_cases(blobs: Blobs) -> list[dict[str, Any]]:
    combos = []
    for layout in ("fused", "split", "split-1", "5d"):
        for na, levels, nc in ((1, 1, 1), (2, 4, 3), (3, 3, 80), (5, 2, 7)):
            combos += [(layout, "yolov5", na, levels, nc, applied) for applied in (False, True)]
        for levels, nc in ((1, 1), (3, 80), (4, 2)):
            combos += [(layout, "yolox", 1, levels, nc, applied) for applied in (False, True)]
    for levels, nc in ((1, 1), (3, 80)):
        combos += [("rows-grid", "yolox", 1, levels, nc, applied) for applied in (False, True)]
    for nc in (1, 2, 80):
        combos += [("rows", "yolov5", 1, 1, nc, True), ("rows", "yolox", 1, 1, nc, True)]
        combos += [("columns", "yolov8", 1, 1, nc, True)]
    cases = []
    for n, (layout, family, na, levels, nc, applied) in enumerate(combos):
        head = random_head(layout, family, na, levels, nc, applied)
        width, height = ((128, 128), (192, 64), (64, 256))[n % 3]
        conf = (0.25, 0.4, 0.001, 0.5)[n % 4]
        outputs = random_outputs(head, na, width, height)
        for index in range(BATCH):
            own = {name: x[index] for name, x in outputs.items()}
            rows = heads.decode(head, own, width, height)
            if layout == "fused" and family == "yolov5" and not applied:
                detect = own_detect(head, outputs)[index]
                np.testing.assert_allclose(rows, detect, rtol=2e-5, atol=2e-5)
                rows = detect
            multi_label = n % 2 == index  # one picture of each
            cases.append(
                {
                    "name": f"{layout} {family} na{na} levels{levels} nc{nc} applied={applied} multi={multi_label}",
                    "multi_label": multi_label,
                    "head": head,
                    "width": width,
                    "height": height,
                    "index": index,
                    "conf": conf,
                    "outputs": [
                        {"name": name, "shape": x.shape, "data": blobs.add(x)} for name, x in reversed(outputs.items())
                    ],
                    "want": blobs.add(candidate_rows(rows, conf, multi_label)),
                    "near": near(rows, conf),
                }
            )
    return cases


def random_rows(n: int, nc: int, kind: str) -> np.ndarray:
    """Decoded rows whose boxes overlap in groups, as a detector's do."""
    groups = max(n // 12, 1)
    side = 7000 if kind == "wide" else 640
    center = RNG.uniform(0, side, (groups, 2))
    size = RNG.uniform(10, 200, (groups, 2))
    pick = RNG.integers(0, groups, n)
    box = np.concatenate((center[pick] + RNG.normal(0, 8, (n, 2)), size[pick] * RNG.uniform(0.8, 1.25, (n, 2))), 1)
    rest = RNG.uniform(0, 1, (n, 1 + nc))
    if kind == "ties":
        box, rest = np.round(box / 8) * 8, np.round(rest * 4) / 4
    if kind == "nested":  # exactly 6 tenths, 1 half, ... of a box
        box = np.stack((np.full(n, 50.0), np.full(n, 50.0), RNG.integers(1, 11, n) * 10.0, np.full(n, 100.0)), 1)
        box[:, 0] += box[:, 2] / 2
    if kind == "wide":
        box[:, 2:] *= 40
    return np.concatenate((box, rest), 1).astype(np.float32)


def stable_argsort(self: torch.Tensor, dim: int = -1, descending: bool = False) -> torch.Tensor:
    """Tensor.argsort leaves the order of equal scores open; the rule here is that of the anchors."""
    return torch.sort(self, dim=dim, descending=descending, stable=True)[1]


def nms_cases(blobs: Blobs) -> list[dict[str, Any]]:
    cases = []
    plan = [(n, nc, kind) for n in (1, 7, 100, 1000) for nc in (1, 5, 80) for kind in ("plain", "ties", "nested")]
    plan += [(4000, 80, "plain"), (10000, 20, "plain"), (3000, 3, "wide"), (36000, 4, "plain")]
    for i, (n, nc, kind) in enumerate(plan):
        rows = random_rows(n, nc, kind)
        conf = 0.001 if n > 30000 else (0.25, 0.1, 0.5, 0.0)[i % 4]
        iou = (0.45, 0.6, 0.5, 0.7, 0.3, 0.0, 0.9, 1.0)[i % 8]
        max_det = (1000, 300, 7)[i % 3]
        classes = [[], [0], [nc - 1, 0, 500]][(i // 2) % 3]
        agnostic = i % 5 == 4
        multi_label = i // 2 % 2 == 1
        want = non_max_suppression(
            torch.from_numpy(rows.copy())[None], conf, iou, classes or None, agnostic, multi_label, max_det=max_det
        )[0].numpy()
        numpy_found = nms.nms(rows, conf, iou, classes, agnostic, max_det, multi_label)
        np.testing.assert_array_equal(numpy_found, want)
        cases.append(
            {
                "name": f"{kind} n{n} nc{nc} conf{conf} iou{iou} max{max_det} classes{classes} "
                f"agnostic={agnostic} multi={multi_label}",
                "multi_label": multi_label,
                "classes": nc,
                "conf": conf,
                "iou": iou,
                "max_det": max_det,
                "keep": classes,
                "agnostic": agnostic,
                "count": n,
                "rows": blobs.add(rows),
                "want": blobs.add(np.ascontiguousarray(want, np.float32)),
            }
        )
    return cases


def fit_cases(blobs: Blobs) -> list[dict[str, Any]]:
    """YOLOv5's letterbox, seen through what it does to a white picture, and scale_boxes."""
    cases = []
    for i in range(400):
        width, height = (int(v) for v in RNG.integers(1, 400, 2))
        input_w, input_h = (int(v) for v in RNG.integers(1, 10, 2) * 32)
        if i % 7 == 0:
            width, height = (1, 1, 300)[i % 3], (1, 200, 1)[i % 3]
        f = fit(width, height, input_w, input_h, "center")
        if min(round(width * f.gain), round(height * f.gain)) >= 1:  # cv2 refuses a side of 0
            white = np.full((height, width, 3), 255, np.uint8)
            laid, _, _ = letterbox(white, (input_h, input_w), auto=False)
            ys, xs = np.nonzero(laid[..., 0] == 255)
            seen = (xs[0], ys[0], xs[-1] - xs[0] + 1, ys[-1] - ys[0] + 1)
            assert seen == (f.left, f.top, f.resized_w, f.resized_h), (seen, f)
        top_left = fit(width, height, input_w, input_h, "top-left")
        boxes = RNG.uniform(-20, 340, (8, 4)).astype(np.float32)
        want = scale_boxes((input_h, input_w), torch.from_numpy(boxes.copy()), (height, width)).numpy()
        cases.append(
            {
                "size": [width, height, input_w, input_h],
                "center": [f.resized_w, f.resized_h, f.left, f.top],
                "top_left": [top_left.resized_w, top_left.resized_h, 0, 0],
                "boxes": blobs.add(boxes),
                "want": blobs.add(want),
            }
        )
    return cases


def main() -> None:
    torch.Tensor.argsort = stable_argsort
    blobs = Blobs(sys.argv[1])
    blobs.finish({"decode": decode_cases(blobs), "nms": nms_cases(blobs), "fit": fit_cases(blobs)})


if __name__ == "__main__":
    main()
