"""Checks of the nets themselves: valid ONNX, they run, they decode what they say, some candidates come out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pictures
import reference
from layers import Array
from net import preprocessed
from onnx import helper

PICTURES = 4
HALF_MAX = 65504  # the largest float16
MAX_BYTES = 500_000  # most are under 200 kB; an in-place export of four levels is 300 kB of nodes


class CheckError(Exception):
    """A net that is not what index.json says."""


def check(folder: Path, entry: dict[str, Any]) -> int:
    """Check one net of index.json; return the candidates per picture that it finds."""
    path = folder / entry["file"]
    onnx.checker.check_model(str(path), full_check=True)
    size = sum(p.stat().st_size for p in folder.glob(f"{path.name}*"))
    _require(size <= MAX_BYTES, f"{size} bytes, want at most {MAX_BYTES}")
    session = onnxruntime.InferenceSession(str(path), _options())
    traced = onnxruntime.InferenceSession(_with_raw_outputs(path, entry).SerializeToString(), _options())
    height, width = entry["imgsz"]
    candidates = _run(entry, session, traced, height, width)
    if entry["dynamic"]["size"]:
        _run(entry, session, traced, height + 64, width + 128)
    low, high = 3, max(300, entry["rows"] // 2)
    _require(low <= candidates <= high, f"{candidates} candidates of {entry['rows']} rows, want {low} to {high}")
    return candidates


def _run(
    entry: dict[str, Any],
    session: onnxruntime.InferenceSession,
    traced: onnxruntime.InferenceSession,
    height: int,
    width: int,
) -> int:
    """Run PICTURES pictures of one size through the net and check what comes out; return candidates per picture."""
    x = preprocessed(pictures.noise(np.random.default_rng(77), PICTURES, height, width), entry["family"])
    x = x.astype(np.float16 if entry["precision"] == "fp16" else np.float32)
    batch = PICTURES if entry["dynamic"]["batch"] else entry["batch"]
    names = [output.name for output in session.get_outputs()]
    told = [name for level in entry["head"]["levels"] for name in level.get("outputs", [])]
    _require(not told or sorted(told) == sorted(names), f"the head has outputs {told}, the file {names}")
    raw_names = [name for level in entry["raw"] for name in level]
    found = 0
    for part in np.split(x, len(x) // batch):
        outputs = dict(zip(names, session.run(names, {"images": part}), strict=True))
        for name, value in outputs.items():
            _require(value.dtype == x.dtype, f"output {name} is {value.dtype}, the input {x.dtype}")
            _require(len(value) == batch, f"output {name} has {value.shape} for {batch} pictures")
            # a YOLOX box is an exponential: a few leave half's range
            sound = ~np.isnan(value) if entry["precision"] == "fp16" else np.isfinite(value)
            _require(bool(sound.all()), f"output {name} is not finite")
        values = dict(zip(raw_names, traced.run(raw_names, {"images": part}), strict=True))
        found += _check_decoding(entry, outputs, values)
    return found // PICTURES


def _check_decoding(entry: dict[str, Any], outputs: dict[str, Array], values: dict[str, Array]) -> int:
    """Hold decoded outputs to the numpy decode of the raw maps; return how many rows pass the threshold."""
    layout = entry["layout_in_file"]
    raw = [[values[name] for name in level] for level in entry["raw"]]
    if layout == "split-cat":
        na = entry["case"]["na"]
        raw = [np.split(level[0], [4 * na, 5 * na], 1) for level in raw]
    decoded = _decode(entry, raw)
    if entry["family"] == "yolov8":
        _compare(outputs["output0"], decoded, entry)
        return int((decoded[:, 4:].max(1) > entry["thresholds"]["conf"]).sum())
    if layout == "rows-grid":
        _compare(outputs[next(iter(outputs))], _decode(entry, raw, grid=False), entry)
    if layout in ("rows", "rows+maps"):
        rows = [v for v in outputs.values() if v.ndim == 3]
        _require(len(rows) == 1, f"{len(rows)} outputs of three axes, want one")
        _compare(rows[0], decoded, entry)
    if layout == "rows+maps":
        maps = {v.shape: v for v in outputs.values() if v.ndim == 5}
        for level in raw:
            view = reference.five_d(level, entry["case"]["na"])
            _require(np.array_equal(maps[view.shape], view), "a 5-d map is not its raw map")
    return int((reference.scores(decoded) > entry["thresholds"]["conf"]).sum())


def _decode(entry: dict[str, Any], raw: list[list[Array]], *, grid: bool = True) -> Array:
    """Decode the raw maps of all levels in numpy; grid is unset for YOLOX rows that are not decoded yet."""
    head, strides = entry["head"], entry["strides"]
    match entry["family"]:
        case "yolov8":
            return np.concatenate([reference.yolov8(m[0], s) for m, s in zip(raw, strides, strict=True)], 2)
        case "yolox":
            applied = head["sigmoid_applied"]
            levels = [
                reference.yolox(m, s, sigmoid_applied=applied, decode=grid) for m, s in zip(raw, strides, strict=True)
            ]
        case _:
            anchors = [level["anchors"] for level in head["levels"]]
            levels = [reference.yolov5(m, s, a) for m, s, a in zip(raw, strides, anchors, strict=True)]
    return np.concatenate(levels, 1)


def _compare(got: Array, want: Array, entry: dict[str, Any]) -> None:
    """Require boxes within 1e-3 of a pixel and scores within 1e-5; in float16 within its own precision."""
    _require(got.shape == want.shape, f"decoded output is {got.shape}, want {want.shape}")
    half = entry["precision"] == "fp16"
    if half:
        got, want = (np.clip(v, -HALF_MAX, HALF_MAX) for v in (got.astype(np.float64), want))
    columns = entry["family"] == "yolov8"
    tolerance = (4e-3 if half else 1e-6) * np.abs(want)
    error = np.abs(got.astype(np.float64) - want) - tolerance
    error = np.moveaxis(error, 1, 2) if columns else error
    box, scores = float(error[..., :4].max()), float(error[..., 4:].max())
    _require(box <= (0.25 if half else 1e-3), f"a box is off by {box:.4g} px")
    _require(scores <= (2e-3 if half else 1e-5), f"a score is off by {scores:.4g}")


def _with_raw_outputs(path: Path, entry: dict[str, Any]) -> onnx.ModelProto:
    """Return the model with its raw maps as outputs."""
    model = onnx.load(str(path))
    known = {output.name for output in model.graph.output}
    elem_type = model.graph.input[0].type.tensor_type.elem_type
    for name in (name for level in entry["raw"] for name in level):
        if name not in known:
            model.graph.output.append(helper.make_tensor_value_info(name, elem_type, None))
    return model


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return options


def _require(holds: bool, complaint: str) -> None:
    if not holds:
        raise CheckError(complaint)
