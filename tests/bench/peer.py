"""The Python that trtdet is measured against: OpenCV, PyTorch, ONNX Runtime, and YOLOv5's own functions.

    peer.py serve head MAPS CONF         decode and non_max_suppression of raw maps, 2 threads
    peer.py serve letterbox PICTURE      cv2.resize and copyMakeBorder to 640x640, 1 thread
    peer.py detect MODEL THREADS FILE... a plain pipeline over picture files, one after the other
    peer.py network MODEL THREADS COUNT  nothing but ONNX Runtime on one input

serve answers each line on standard input, a number of repetitions, with a line of JSON: the median seconds of one,
and a number that says what was done. Runs under /usr/bin/python3 with YOLOv5's code on its path.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable

import cv2
import numpy as np
from detector import STRIDES, session

SIZE = 640


def serve(work: Callable[[], int]) -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            result = work()
            times.append(time.perf_counter() - start)
        print(json.dumps({"seconds": float(np.median(times)), "result": result}), flush=True)


def decoder(classes: int, anchors: list[list[float]]) -> Callable[[list[np.ndarray]], object]:
    """YOLOv5's own Detect without its convolutions: raw maps (B, na*(5+nc), ny, nx) to rows (B, N, 5+nc)."""
    import torch
    from yolov5.models.yolo import Detect

    detect = Detect(classes, anchors, [1] * len(anchors)).eval()
    detect.stride = torch.tensor([float(s) for s in STRIDES])
    detect.anchors /= detect.stride.view(-1, 1, 1)
    detect.m = torch.nn.ModuleList(torch.nn.Identity() for _ in anchors)
    return lambda maps: detect([torch.from_numpy(m) for m in maps])[0]


def head(path: str, conf: str) -> Callable[[], int]:
    """MAPS holds the float32 maps of 80 classes at 640x640, one level after the other."""
    import torch
    from yolov5.utils.general import non_max_suppression

    torch.set_num_threads(2)
    data, maps = np.fromfile(path, np.float32), []
    for stride in STRIDES:
        side = SIZE // stride
        count = 255 * side * side
        maps.append(data[:count].reshape(1, 255, side, side).copy())
        data = data[count:]
    decode = decoder(80, [[30, 60, 60, 40, 50, 90]] * 3)

    def work() -> int:
        with torch.no_grad():
            return len(non_max_suppression(decode(maps), float(conf), 0.45, max_det=1000)[0])

    return work


def letterbox(path: str) -> Callable[[], int]:
    cv2.setNumThreads(1)
    picture = cv2.imread(path)
    height, width = picture.shape[:2]
    gain = min(SIZE / height, SIZE / width)
    size = round(width * gain), round(height * gain)
    top, left = (SIZE - size[1]) // 2, (SIZE - size[0]) // 2

    def work() -> int:
        resized = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
        bottom, right = SIZE - size[1] - top, SIZE - size[0] - left
        laid = cv2.copyMakeBorder(resized, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(114, 114, 114))
        return int(laid[SIZE // 2, SIZE // 2, 0])

    return work


def detect(path: str, threads: str, *files: str) -> None:
    """Read, letterbox, run, decode, suppress, scale back: one picture at a time, as YOLOv5's detect.py does."""
    import ast

    import torch
    from yolov5.utils.augmentations import letterbox as laid_out
    from yolov5.utils.general import non_max_suppression, scale_boxes

    torch.set_num_threads(int(threads))
    network = session(path, int(threads))
    metadata = network.get_modelmeta().custom_metadata_map
    names, anchors = ast.literal_eval(metadata["names"]), ast.literal_eval(metadata["anchors"])
    decode = decoder(len(names), [[v for anchor in level for v in anchor] for level in anchors])
    found = 0
    for file in files:
        picture = cv2.imread(file)
        laid = laid_out(picture, (SIZE, SIZE), auto=False)[0]
        x = np.ascontiguousarray(laid[..., ::-1].transpose(2, 0, 1)[None]).astype(np.float32) / 255
        with torch.no_grad():
            rows = decode(network.run(None, {"images": x}))
            boxes = non_max_suppression(rows, 0.5, 0.45, max_det=1000)[0]
        boxes[:, :4] = scale_boxes((SIZE, SIZE), boxes[:, :4], picture.shape)
        for *box, score, label in boxes.tolist():
            print(json.dumps({"source": file, "class": names[int(label)], "score": score, "box": box}))
        found += len(boxes)
    print(f"{found} objects in {len(files)} pictures")


def network(path: str, threads: str, count: str) -> None:
    made = session(path, int(threads))
    x = np.full((1, 3, SIZE, SIZE), 114 / 255, np.float32)
    for _ in range(int(count)):
        made.run(None, {"images": x})


def main() -> None:
    task, *arguments = sys.argv[1:]
    if task == "serve":
        kind, *arguments = arguments
        # YOLOv5 tells of its settings file on standard output when it makes one
        with contextlib.redirect_stdout(sys.stderr):
            work = {"head": head, "letterbox": letterbox}[kind](*arguments)
        serve(work)
    else:
        {"detect": detect, "network": network}[task](*arguments)


if __name__ == "__main__":
    main()
