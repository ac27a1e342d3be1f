"""The whole way from pictures to detections in Python, for the end-to-end tests to be held to.

    reference.py --model m.onnx --head head.json [--preprocess p.json] [--imgsz 640 | H,W] PICTURE...
    reference.py --jobs jobs.json

runs, under build/deps/venv's python, cv2's letterbox, the unedited model in onnxruntime, the decode of heads.py and
the suppression of nms.py, and prints one line of JSON per picture:

    {"source": ..., "width": ..., "height": ..., "detections": [{"class_id": 0, "score": 0.9, "box": [x1, y1, x2, y2]}]}

With --yolov5 letterbox, suppression and the way back to the picture are YOLOv5's own functions, which run under the
system's python (yolov5_functions.py).

--head holds the JSON of a decode.Head or of a manifest with "head" and "preprocess"; a tensor it names that is no
output of the model is made one. A PICTURE is a file that cv2 reads, or W,H,PATH: a file of W*H RGB pixels, 3 bytes
each, so that reading it cannot make a difference. --jobs takes a list of {"out": FILE, "args": [...]} and writes what
each would print.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import heads
import nms
import numpy as np
import onnx
import onnxruntime as ort
from letterbox import Fit, fit, letterbox, to_input, to_picture

HERE = Path(__file__).resolve().parent
OWN = {"yolox": {"letterbox": "top-left", "channel_order": "bgr", "pixel_range": 255}}
DEFAULT = {"letterbox": "center", "channel_order": "rgb", "pixel_range": 1}


def read_picture(source: str) -> np.ndarray:
    """(h, w, 3) RGB."""
    parts = source.split(",", 2)
    if len(parts) == 3 and parts[0].isdigit() and parts[1].isdigit():
        return np.fromfile(parts[2], np.uint8).reshape(int(parts[1]), int(parts[0]), 3)
    picture = cv2.imread(source, cv2.IMREAD_COLOR)
    if picture is None:
        raise SystemExit(f"{source}: cv2 cannot read it")
    return np.ascontiguousarray(picture[..., ::-1])


def open_model(path: str, tensors: list[str]) -> ort.InferenceSession:
    """The model as it is; tensors that are not outputs are made some in memory."""
    model = onnx.load(path)
    outputs = {o.name for o in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors if name not in outputs)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def input_size(session: ort.InferenceSession, imgsz: str | None) -> tuple[int, int]:
    """(H, W): --imgsz, else the model's own, else 640."""
    if imgsz:
        sides = [int(v) for v in imgsz.split(",")]
        return sides[0], sides[-1]
    height, width = session.get_inputs()[0].shape[2:]
    return (height if isinstance(height, int) else 640), (width if isinstance(width, int) else 640)


def infer(session: ort.InferenceSession, tensors: list[str], batch: np.ndarray) -> dict[str, np.ndarray]:
    """One picture's part of each tensor, float32. A batch the model fixes is filled with copies."""
    own = session.get_inputs()[0]
    if isinstance(own.shape[0], int) and own.shape[0] > 1:
        batch = np.repeat(batch, own.shape[0], 0)
    if own.type == "tensor(float16)":
        batch = batch.astype(np.float16)
    values = session.run(tensors, {own.name: batch})
    return {name: v[0].astype(np.float32) for name, v in zip(tensors, values, strict=True)}


def own_functions(task: str, **arrays: Any) -> dict[str, np.ndarray]:
    """Runs yolov5_functions.py on arrays."""
    python = os.environ.get("TRTDET_ORACLE_PYTHON", "/usr/bin/python3")
    packages = HERE.parents[1] / "build" / "deps" / "oracle"
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder, "given.npz"), Path(folder, "made.npz")
        np.savez(given, **arrays)
        command = [python, str(HERE / "yolov5_functions.py"), task, str(given), str(made)]
        environment = {**os.environ, "PYTHONPATH": str(packages), "MPLCONFIGDIR": folder}
        subprocess.run(command, env=environment, check=True, stdout=sys.stderr)
        with np.load(made) as out:
            return {k: out[k] for k in out.files}


def detections(found: np.ndarray, boxes: np.ndarray) -> list[dict[str, Any]]:
    """Boxes left without area are dropped."""
    area = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return [
        {"class_id": int(f[5]), "score": float(f[4]), "box": [float(v) for v in b]}
        for f, b in zip(found[area], boxes[area], strict=True)
    ]


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--head", required=True)
    parser.add_argument("--preprocess")
    parser.add_argument("--imgsz")
    parser.add_argument("--conf", type=float, default=0.25)
    parser.add_argument("--iou", type=float, default=0.45)
    parser.add_argument("--max-det", type=int, default=1000)
    parser.add_argument("--classes", default="")
    parser.add_argument("--agnostic", action="store_true")
    parser.add_argument("--yolov5", action="store_true")
    parser.add_argument("pictures", nargs="+")
    return parser.parse_args(argv)


def detect(args: argparse.Namespace) -> list[dict[str, Any]]:
    spec = json.loads(Path(args.head).read_text())
    head = spec.get("head", spec)
    preprocess = spec.get("preprocess") or OWN.get(head["family"], DEFAULT)
    if args.preprocess:
        preprocess = json.loads(Path(args.preprocess).read_text())
    tensors = list(dict.fromkeys(name for level in head["levels"] for name in level["outputs"]))
    session = open_model(args.model, tensors)
    height, width = input_size(session, args.imgsz)
    classes = [int(v) for v in args.classes.split(",") if v]
    center = preprocess["letterbox"] == "center"
    if args.yolov5 and not center:
        raise SystemExit("--yolov5 has a centered letterbox, this model does not")

    pictures = [read_picture(source) for source in args.pictures]
    fits: list[Fit] = []
    all_rows = []
    own_laid = own_functions("letterbox", size=[height, width], **numbered(pictures)) if args.yolov5 else {}
    for i, picture in enumerate(pictures):
        if args.yolov5:
            laid = own_laid[f"item{i}"]
            fits.append(fit(picture.shape[1], picture.shape[0], width, height, "center"))
        else:
            laid, f = letterbox(picture, width, height, preprocess["letterbox"])
            fits.append(f)
        batch = to_input(laid, preprocess["channel_order"], preprocess["pixel_range"])
        all_rows.append(heads.decode(head, infer(session, tensors, batch), width, height))

    if args.yolov5:
        options = {"conf": args.conf, "iou": args.iou, "max_det": args.max_det, "agnostic": args.agnostic}
        sizes = [(p.shape[0], p.shape[1]) for p in pictures]
        found = own_functions(
            "detect", size=[height, width], sizes=sizes, classes=classes, **options, **numbered(all_rows)
        )
        results = [(found[f"item{i}"], found[f"item{i}"][:, :4]) for i in range(len(pictures))]
    else:
        results = []
        for rows, f in zip(all_rows, fits, strict=True):
            kept = nms.nms(rows, args.conf, args.iou, classes, args.agnostic, args.max_det)
            results.append((kept, to_picture(kept[:, :4], f)))
    return [
        {"source": source, "width": p.shape[1], "height": p.shape[0], "detections": detections(*result)}
        for source, p, result in zip(args.pictures, pictures, results, strict=True)
    ]


def numbered(arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
    return {f"item{i}": a for i, a in enumerate(arrays)}


def printed(argv: list[str]) -> str:
    return "".join(json.dumps(line) + "\n" for line in detect(arguments(argv)))


def main() -> None:
    if sys.argv[1:2] == ["--jobs"]:
        for job in json.loads(Path(sys.argv[2]).read_text()):
            Path(job["out"]).write_text(printed(job["args"]))
    else:
        sys.stdout.write(printed(sys.argv[1:]))


if __name__ == "__main__":
    main()
