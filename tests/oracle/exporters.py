"""Detectors as their own exporters write them, and what ONNX Runtime finds with each file.

exporters.py export DIR [NAME ...]   (the system's Python, which has torch) writes NAME.onnx of each, all without NAMEs
exporters.py change DIR TOOL ...     (the virtual environment) writes NAME-TOOL.onnx of each file of BASES that is there
exporters.py expect DIR IMAGE        (the virtual environment) writes expected.json beside them
"""

from __future__ import annotations

import functools
import inspect
import itertools
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

SIZE = 128
# name: the network, the options of its export, and how its outputs are read. "like" files are read as another one's:
# what their graph suppresses is not compared, the predictions before it are. "refused" ones are no detectors of boxes.
FILES: dict[str, tuple[str, dict, str]] = {
    "yolov5": ("yolov5n", {}, "rows"),
    "yolov5-dynamic": ("yolov5n", {"dynamic": True}, "rows"),
    "yolov5-training-outputs": ("yolov5n", {"export": False}, "rows"),
    "yolov8": ("yolov8n.yaml", {}, "columns"),
    "yolov8-nms": ("yolov8n.yaml", {"nms": True}, "like yolov8"),
    "yolov8-dynamic": ("yolov8n.yaml", {"dynamic": True}, "columns"),
    "yolov5u": ("yolov5nu.yaml", {}, "columns"),
    "yolov10": ("yolov10n.yaml", {"end2end": True}, "end2end"),
    "yolov10-one-to-many": ("yolov10n.yaml", {"end2end": False}, "columns"),
    "yolo11": ("yolo11n.yaml", {}, "columns"),
    "yolo26": ("yolo26n.yaml", {"end2end": True}, "end2end"),
    "yolo26-one-to-many": ("yolo26n.yaml", {"end2end": False}, "columns"),
    "yolov8-seg": ("yolov8n-seg.yaml", {}, "refused"),
    "yolov8-pose": ("yolov8n-pose.yaml", {}, "refused"),
    "yolov8-obb": ("yolov8n-obb.yaml", {}, "refused"),
}
# What people put these through, a file of each output. ONNX Runtime's own forms are no ONNX that TensorRT reads.
BASES = ("yolov5", "yolov8", "yolo26")
TOOLS = ("onnxslim", "onnxsim", "half", "half-io", "int8", "basic", "extended", "dynamic-int8")
REFUSED_TOOLS = ("extended", "dynamic-int8")
for _base in BASES:
    for _tool in TOOLS:
        FILES[f"{_base}-{_tool}"] = (_base, {}, "refused" if _tool in REFUSED_TOOLS else FILES[_base][2])
# By PyTorch's newer exporter, where the Python that exports has it.
for _base in BASES:
    FILES[f"{_base}-dynamo"] = (FILES[_base][0], {**FILES[_base][1], "dynamo": True}, FILES[_base][2])
EXPORTED = [name for name, (network, _, _) in FILES.items() if network not in FILES]


def export(folder: Path, names: list[str]) -> None:
    # torch of a distribution with the onnx of the virtual environment, which the exporter checks files with and which
    # looks for its warnings where a newer numpy has them
    import numpy
    import torch

    if not hasattr(numpy, "exceptions"):
        numpy.exceptions = numpy
    from ultralytics import YOLO

    warnings.filterwarnings("ignore")
    exporter = torch.onnx.export
    for name in names or EXPORTED:
        network, options, how = FILES[name]
        options = dict(options)
        torch.onnx.export = exporter
        if options.pop("dynamo", False):
            if "dynamo" not in inspect.signature(exporter).parameters:
                continue
            torch.onnx.export = functools.partial(by_dynamo, exporter)
        torch.manual_seed(1)
        if how == "rows":
            export_yolov5(folder / f"{name}.onnx", network, **options)
            continue
        model = YOLO(network)
        with torch.no_grad():
            for name_of, p in model.model.model[-1].named_parameters():
                if not name_of.startswith("dfl."):  # the rest moves, or all boxes and scores would be alike
                    p += torch.randn_like(p) * 0.05
                if "cv3" in name_of and p.dim() == 1 and p.mean() < -5:
                    p += 9  # of the class scores, which begin at 1e-5
        written = model.export(format="onnx", imgsz=SIZE, simplify=False, opset=13, **options)
        Path(written).rename(folder / f"{name}.onnx")


def by_dynamo(exporter: Callable, *args: object, **kwargs: object) -> object:
    return exporter(*args, **{**kwargs, "dynamo": True})


def export_yolov5(to: Path, network: str, *, dynamic: bool = False, export: bool = True) -> None:
    """YOLOv5's own export.py, with the raw maps beside the rows where it is told not to leave them out."""
    import torch
    import yolov5
    import yolov5.export
    from yolov5.models.yolo import Detect, Model

    yolov5.export.check_requirements = lambda *args, **kwargs: None  # it would install what is missing
    model = Model(str(Path(yolov5.__file__).parent / "models" / f"{network}.yaml"), ch=3, nc=5).eval()
    head = next(m for m in model.modules() if isinstance(m, Detect))
    head.dynamic, head.export = dynamic, export
    with torch.no_grad():
        for p in head.parameters():
            p += torch.randn_like(p) * 0.05
        for conv in head.m:
            conv.bias.view(head.na, -1)[:, 4:] += 3  # confidences begin at 1e-3
    model.names = {i: f"thing {i}" for i in range(5)}
    image = torch.zeros(1, 3, SIZE, SIZE)
    model(image)
    yolov5.export.export_onnx(model, image, to, 12, dynamic, False)
    if not to.exists():
        raise SystemExit(f"YOLOv5's export.py did not write {to.name}")


def change(folder: Path, tools: list[str]) -> None:
    for base, tool in itertools.product(BASES, tools):
        if (folder / f"{base}.onnx").exists():
            change_one(folder / f"{base}.onnx", tool, folder / f"{base}-{tool}.onnx")


def change_one(path: Path, tool: str, to: Path) -> None:
    import numpy as np
    import onnx
    import onnxruntime as ort
    from onnxruntime import quantization
    from onnxruntime.transformers.float16 import convert_float_to_float16

    class Images(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            rng = np.random.default_rng(1)
            self.images = iter([rng.random((1, 3, SIZE, SIZE), dtype=np.float32) for _ in range(4)])

        def get_next(self) -> dict | None:
            image = next(self.images, None)
            return None if image is None else {"images": image}

    if tool == "onnxslim":
        import onnxslim

        onnx.save(onnxslim.slim(onnx.load(path)), to)
    elif tool == "onnxsim":
        import onnxsim

        onnx.save(onnxsim.simplify(onnx.load(path))[0], to)
    elif tool in ("half", "half-io"):
        onnx.save(convert_float_to_float16(onnx.load(path), keep_io_types=tool == "half"), to)
    elif tool == "int8":
        quantization.quantize_static(  # as TensorRT takes it: docs/tensorrt.md
            str(path),
            str(to),
            Images(),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QInt8,
            op_types_to_quantize=["Conv"],
            extra_options={
                "OpTypesToExcludeOutputQuantization": ["Conv"],
                "ActivationSymmetric": True,
                "QuantizeBias": False,
            },
        )
    elif tool == "dynamic-int8":
        quantization.quantize_dynamic(str(path), str(to))
    else:
        options = ort.SessionOptions()
        options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, f"ORT_ENABLE_{tool.upper()}")
        options.optimized_model_filepath = str(to)
        ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def expect(folder: Path, image: str) -> None:
    import cv2
    import numpy as np
    import onnxruntime as ort

    picture = cv2.resize(cv2.imread(image), (SIZE, SIZE))
    cv2.imwrite(str(folder / "image.png"), picture)
    tensor = np.ascontiguousarray(picture[..., ::-1].transpose(2, 0, 1)[None]).astype(np.float32) / np.float32(255)
    expected = {}
    for name, (_, _, how) in FILES.items():
        path = folder / f"{name}.onnx"
        if not path.exists() or how == "refused" or how.startswith("like"):
            continue
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        given = session.get_inputs()[0]
        as_taken = tensor.astype(np.float16 if given.type == "tensor(float16)" else np.float32)
        out = session.run(None, {given.name: as_taken})[0][0].astype(np.float64)
        if how == "end2end":
            boxes, scores, classes = out[:, :4], out[:, 4], out[:, 5]
        else:
            if how == "rows":
                out = np.concatenate([out[:, :4], out[:, 4:5] * out[:, 5:]], 1).T
            x, y, w, h = out[:4]
            boxes = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], 1)
            scores, classes = out[4:].max(0), out[4:].argmax(0)
        ranked = np.sort(scores)[::-1]
        # a threshold in the widest gap about the hundredth score, where no rounding decides
        near = ranked[80:120]
        gap = int(np.argmax(near[:-1] - near[1:]))
        conf = float((near[gap] + near[gap + 1]) / 2)
        boxes = boxes.clip(0, SIZE)
        keep = (scores > conf) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        expected[name] = {
            "conf": conf,
            "half": "-half" in name,
            "detections": [
                {"box": box.tolist(), "score": float(score), "class_id": int(class_id)}
                for box, score, class_id in zip(boxes[keep], scores[keep], classes[keep], strict=True)
            ],
        }
    for name, (_, _, how) in FILES.items():
        if (folder / f"{name}.onnx").exists():
            if how.startswith("like"):
                expected[name] = expected[how.split()[1]]
            elif how == "refused":
                expected[name] = {"refused": True}
    (folder / "expected.json").write_text(json.dumps(expected))


if __name__ == "__main__":
    if sys.argv[1] == "export":
        export(Path(sys.argv[2]), sys.argv[3:])
    elif sys.argv[1] == "change":
        change(Path(sys.argv[2]), sys.argv[3:])
    else:
        expect(Path(sys.argv[2]), sys.argv[3])
