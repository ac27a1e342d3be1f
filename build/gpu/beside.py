"""Measures the same yolov5s in PyTorch and in ONNX Runtime, beside trtdet on one GPU.

The network alone runs, on tensors that are on the GPU already. CUDA events time PyTorch, as they time trtdet. ONNX
Runtime runs on a stream of its own and ends each run with a wait, so the clock times it.

    beside.py HEAD FOLDER --seconds 2     one JSON list on standard output: what, precision, batch, pictures_per_second

HEAD is one of HEADS; FOLDER has the file yolov5s-HEAD.onnx that make_inputs.py writes. What cannot be measured is named
on standard error.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from training.yolov5 import Config, YOLOv5  # noqa: E402 (the path has to be set first)

# Name to the head's kind, its hidden channels and its layout.
HEADS = {
    "coupled": ("coupled", None, "fused"),
    "decoupled-base": ("decoupled-base", 256, "fused"),
    "decoupled-base-split": ("decoupled-base", 256, "split"),
    "decoupled": ("decoupled", None, "fused"),
    "yolox": ("yolox", 256, "fused"),
}
BATCHES = (1, 8, 32)
# Runs between two events, and how many such windows there are at least.
WINDOW, LEAST_WINDOWS = 10, 5


def config(head: str) -> Config:
    """Returns the yolov5s of 80 classes with a head."""
    kind, hidden, layout = HEADS[head]
    return Config(80, "s", kind, hidden, layout=layout)


def event_rate(run: Callable[[], object], batch: int, seconds: float) -> float:
    """Returns pictures a second of a call that puts a batch of work on PyTorch's stream, which is never idle."""
    for _ in range(WINDOW):
        run()
    marks = [torch.cuda.Event(enable_timing=True)]
    marks[0].record()
    start = time.perf_counter()
    while time.perf_counter() - start < seconds or len(marks) <= LEAST_WINDOWS:
        for _ in range(WINDOW):
            run()
        marks.append(torch.cuda.Event(enable_timing=True))
        marks[-1].record()
        marks[-2].synchronize()
    marks[-1].synchronize()
    took = statistics.median(before.elapsed_time(after) for before, after in itertools.pairwise(marks))
    return 1000 * WINDOW * batch / took


def rate(run: Callable[[], object], batch: int, seconds: float) -> float:
    """Returns pictures a second of a call that waits for a batch of work."""
    for _ in range(WINDOW):
        run()
    start, runs = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        run()
        runs += 1
    return runs * batch / (time.perf_counter() - start)


def measured(what: str, precision: str, batch: int, speed: float) -> dict:
    """Returns one entry of the list."""
    return {"what": what, "precision": precision, "batch": batch, "pictures_per_second": speed}


def pytorch(head: str, seconds: float) -> list[dict]:
    """Measures PyTorch eagerly, in float32 (TF32 allowed, as TensorRT does) and half, channels last."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    found = []
    for half, batch in itertools.product((False, True), BATCHES):
        kind = torch.half if half else torch.float
        network = YOLOv5(config(head)).fuse().eval().cuda().to(kind).to(memory_format=torch.channels_last)
        x = torch.rand(batch, 3, 640, 640, device="cuda", dtype=kind).to(memory_format=torch.channels_last)
        with torch.inference_mode():
            speed = event_rate(partial(network.raw_parts, x), batch, seconds)
        found.append(measured("pytorch", "fp16" if half else "fp32", batch, speed))
    return found


def onnxruntime(path: Path, seconds: float) -> list[dict]:
    """Measures ONNX Runtime's CUDA provider in float32, input and outputs on the GPU."""
    import onnxruntime as ort

    if "CUDAExecutionProvider" not in ort.get_available_providers():
        print(f"onnxruntime {ort.__version__} has no CUDA provider: not measured", file=sys.stderr)
        return []
    session = ort.InferenceSession(path, providers=["CUDAExecutionProvider"])
    found = []
    for batch in BATCHES:
        x = torch.rand(batch, 3, 640, 640, device="cuda")
        binding = session.io_binding()
        binding.bind_input(session.get_inputs()[0].name, "cuda", 0, "float32", tuple(x.shape), x.data_ptr())
        for output in session.get_outputs():
            binding.bind_output(output.name, "cuda")
        speed = rate(partial(session.run_with_iobinding, binding), batch, seconds)
        found.append(measured("onnxruntime", "fp32", batch, speed))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("head", choices=HEADS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement (%(default)s)")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("beside.py: PyTorch sees no GPU")
    found = pytorch(arguments.head, arguments.seconds)
    try:
        found += onnxruntime(arguments.folder / f"yolov5s-{arguments.head}.onnx", arguments.seconds)
    except Exception as error:  # noqa: BLE001 (whatever it is, what PyTorch did is worth having)
        print(f"onnxruntime: {error}: not measured", file=sys.stderr)
    json.dump(found, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
