"""One net: from a case to an ONNX model and what index.json says of it."""

from __future__ import annotations

import dataclasses
import json
import zlib
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx
import pictures
from backbone import features
from cases import Case
from graph import Graph
from heads import HeadPlan, LevelMaps, predict, trunk
from layers import Array, Layers, Style, Tensor
from onnx import helper
from tails import Anchors, Output, Tail

IR_VERSION = {11: 6, 12: 7, 13: 7, 14: 7, 15: 8, 16: 8, 17: 8}
THRESHOLD = {"decoupled-base-c": 0.5, "decoupled-base-x": 0.5, "decoupled": 0.4}
WANTED_CANDIDATES = 60
# names that a parser of Python's repr has to get right
AWKWARD_NAMES = ["person", "traffic light", "potter's wheel", 'tape 3" wide', "bière", "a: b, c", "[x] {y}"]
CALIBRATION_SIZE = 128


@dataclass(frozen=True)
class Net:
    """A model, and its entry in index.json but for the file's name."""

    model: onnx.ModelProto
    entry: dict[str, Any]


def strides_of(case: Case) -> list[int]:
    """Return the strides of a case's levels; one and two levels begin at 8 or at 16."""
    first = 16 if case.levels < 3 and zlib.crc32(case.name.encode()) % 2 else 8
    return [first << i for i in range(case.levels)]


def anchors_of(case: Case) -> list[Anchors]:
    """Return anchors in pixels per level, every number exact in float16."""
    aspects = (1.0, 0.5, 2.0, 0.75, 1.5)
    levels = []
    for stride in strides_of(case):
        sizes = [(stride * (1.25 + 0.75 * k) * aspects[k] ** 0.5, stride * (1.25 + 0.75 * k)) for k in range(case.na)]
        levels.append([[round(w * 4) / 4, round(h * 4) / 4] for w, h in sizes])
    return levels


def imgsz_of(case: Case) -> tuple[int, int]:
    """Return height and width: small where a simplified graph holds an index of every cell."""
    sizes = [(128, 128), (128, 192), (192, 128)]
    if case.decode == "in-place" and case.simplified == "yes":
        sizes = [(64, 64), (64, 128)]
    return sizes[zlib.crc32(case.name.encode()) // 2 % len(sizes)]


def names_of(case: Case) -> list[str]:
    """Return the class names."""
    return (AWKWARD_NAMES + [f"thing {i}" for i in range(len(AWKWARD_NAMES), case.classes)])[: case.classes]


def family_of(case: Case) -> str:
    """Return the decode family."""
    return case.kind if case.kind in ("yolox", "yolov8") else "yolov5"


@cache
def _calibration(family: str) -> Array:
    batch = pictures.noise(np.random.default_rng(1), 12, CALIBRATION_SIZE, CALIBRATION_SIZE)
    return preprocessed(batch, family)


def preprocessed(batch: Array, family: str) -> Array:
    """Return RGB pictures, 0 to 255, as the family's input: YOLOX's is BGR, the others' 0 to 1."""
    return np.ascontiguousarray(batch[:, ::-1]) if family == "yolox" else (batch / 255).astype(np.float32)


def make(case: Case) -> Net:
    """Make a case's net: the same one every time."""
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    family, imgsz, strides = family_of(case), imgsz_of(case), strides_of(case)
    graph = Graph(
        case.opset, half=case.precision == "fp16", scoped=case.opset >= 13, simplified=case.simplified == "yes"
    )
    quantized = case.precision.removeprefix("int8-") if case.precision.startswith("int8") else ""
    layers = Layers(graph, Style(case.activation, case.bn == "folded", quantized), rng)
    rows = case.na * sum((imgsz[0] // s) * (imgsz[1] // s) for s in strides)
    maps_in, scope = features(layers, Tensor("images", _calibration(family), 1), strides, family)
    plan = HeadPlan(
        case.kind,
        case.na,
        case.classes,
        case.split,
        THRESHOLD.get(case.kind, 0.25),
        passing=float(np.clip(WANTED_CANDIDATES / rows, 0.01, 0.2)),
        scope=scope,
    )
    maps = predict(layers, [trunk(layers, x, plan, i) for i, x in enumerate(maps_in)], plan)
    outputs, per_level = _outputs(graph, case, plan, maps)
    if case.outputs == "shuffled":
        in_order = list(outputs)
        while outputs == in_order:
            outputs = [in_order[i] for i in rng.permutation(len(in_order))]
    metadata = _metadata(case)
    model = _model(graph, case, outputs, metadata)
    head = _head(case, per_level)
    entry = {
        "family": family,
        "head": head,
        "layouts_after_cut": _layouts_after_cut(case),
        "layout_in_file": case.layout,
        "strides": strides,
        "raw": [level.raw for level in maps],
        "preprocess": {
            "letterbox": "top-left" if family == "yolox" else "center",
            "channel_order": "bgr" if family == "yolox" else "rgb",
            "pixel_range": 255 if family == "yolox" else 1,
        },
        "thresholds": {"conf": plan.threshold, "iou": 0.45},
        "names": names_of(case),
        "hints": _hints(case, metadata),
        "metadata": metadata,
        "dynamic": {"batch": case.dynamic in ("batch", "both"), "size": case.dynamic in ("size", "both")},
        "batch": case.batch,
        "imgsz": list(imgsz),
        "rows": rows,
        "activation": case.activation,
        "precision": case.precision.split("-")[0],
        "opset": case.opset,
        "external": case.external,
        "case": dataclasses.asdict(case),
        "notes": _notes(case),
    }
    return Net(model, entry)


def _outputs(
    graph: Graph, case: Case, plan: HeadPlan, maps: list[LevelMaps]
) -> tuple[list[Output], list[list[str]] | None]:
    """Write the layout's tail; return the outputs, and their names per level where no cut is needed."""
    tail = Tail(
        graph,
        plan,
        imgsz_of(case),
        batch=None if case.dynamic in ("batch", "both") else case.batch,
        free_size=case.dynamic in ("size", "both"),
        flavor=case.decode,
        sigmoid=case.sigmoid == "inside",
    )
    levels: list[list[Output]] = []
    match case.layout:
        case "fused" | "split-cat":
            levels = [tail.fused(m) for m in maps]
        case "split":
            levels = [tail.split(m) for m in maps]
        case "5d":
            levels = [tail.five_d(m) for m in maps]
        case "rows" | "rows+maps" if case.anchored:
            rows, views = tail.yolov5_rows(maps, anchors_of(case))
            levels = [[rows]] + ([[view] for view in views] if case.layout == "rows+maps" else [])
        case "rows" | "rows-grid":
            levels = [[tail.yolox_rows(maps, decode=case.layout == "rows")]]
        case "columns":
            levels = [[tail.columns(maps)]]
        case _:
            raise ValueError(f"no layout {case.layout!r}")
    names = _output_names(graph, case, levels)
    graph.rename(names)
    for level in maps:
        level.raw = [names.get(name, name) for name in level.raw]
    levels = [[Output(names[o.name], o.shape) for o in level] for level in levels]
    cut = case.layout.startswith("rows")
    return [o for level in levels for o in level], None if cut else [[o.name for o in level] for level in levels]


def _output_names(graph: Graph, case: Case, levels: list[list[Output]]) -> dict[str, str]:
    """Name outputs as exports do: output0, output1 ...; or output and then whatever the tensor was called."""
    flat = [output.name for level in levels for output in level]
    if case.layout == "split" and graph.scoped:
        parts = ("box", "conf", "labels")
        return {o.name: f"{part}{i}" for i, level in enumerate(levels) for o, part in zip(level, parts, strict=True)}
    if case.layout == "columns" or (graph.scoped and case.layout != "rows+maps"):
        return {name: f"output{i}" for i, name in enumerate(flat)}
    return {name: "output" if i == 0 else graph.new_tensor("onnx::Sigmoid") for i, name in enumerate(flat)}


def _model(graph: Graph, case: Case, outputs: list[Output], metadata: dict[str, str]) -> onnx.ModelProto:
    height, width = imgsz_of(case)
    free_batch, free_size = case.dynamic in ("batch", "both"), case.dynamic in ("size", "both")
    shape = ["batch" if free_batch else case.batch, 3, *(("height", "width") if free_size else (height, width))]
    proto = helper.make_graph(
        graph.nodes,
        "torch_jit",
        [helper.make_tensor_value_info("images", graph.elem_type, shape)],
        [helper.make_tensor_value_info(o.name, graph.elem_type, o.shape) for o in outputs],
        graph.initializers,
    )
    model = helper.make_model(
        proto,
        opset_imports=[helper.make_opsetid("", case.opset)],
        ir_version=IR_VERSION[case.opset],
        producer_name="trtdet tests/nets",
    )
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    # a simplifier leaves the shapes it inferred in the file
    return onnx.shape_inference.infer_shapes(model) if graph.simplified else model


def _metadata(case: Case) -> dict[str, str]:
    """Return metadata as YOLOv5 (stride, names: a list in 6.0, a dict from 6.2 on) and Ultralytics write it."""
    if case.metadata == "none":
        return {}
    names = names_of(case)
    as_dict = case.kind == "yolov8" or case.decode == "split" or case.opset % 2 == 1
    metadata = {"stride": str(max(strides_of(case))), "names": str(dict(enumerate(names)) if as_dict else names)}
    if case.kind == "yolov8":
        size = str(list(imgsz_of(case)))
        metadata = {"description": "a test net", **metadata, "task": "detect", "batch": "1", "imgsz": size}
    if case.metadata == "anchors":
        metadata["anchors"] = json.dumps(anchors_of(case))
    return metadata


def _hints(case: Case, metadata: dict[str, str]) -> dict[str, Any]:
    """Return what a reader cannot know from the file: anchors of raw maps, names, a split concatenation."""
    hints: dict[str, Any] = {}
    if case.anchored and not case.layout.startswith("rows") and "anchors" not in metadata:
        hints["anchors"] = anchors_of(case)
    if "names" not in metadata:
        hints["names"] = names_of(case)
    if case.layout == "split-cat":
        hints["head"] = f"{_kind(case)},split"
    elif case.kind == "yolox" and not case.layout.startswith("rows") and case.sigmoid != "inside":
        hints["head"] = "yolox"  # nothing in its maps tells them from YOLOv5's with one anchor
    return hints


def _kind(case: Case) -> str:
    if case.kind == "yolov8":
        return ""
    return "decoupled-base" if case.kind.startswith("decoupled-base") else case.kind


def _head(case: Case, per_level: list[list[str]] | None) -> dict[str, Any]:
    """Return decode.Head as JSON; outputs are left out where the reader has to cut and so finds the names."""
    head: dict[str, Any] = {"family": family_of(case)}
    if _kind(case):
        head["kind"] = _kind(case)
    head |= {"layout": _layouts_after_cut(case)[0], "classes": case.classes}
    if case.layout == "columns":
        head["levels"] = [{"outputs": (per_level or [])[0]}]
    else:
        head["levels"] = [{"stride": stride} for stride in strides_of(case)]
        for i, level in enumerate(head["levels"]):
            if case.anchored:
                level["anchors"] = anchors_of(case)[i]
            if per_level:
                level["outputs"] = per_level[i]
    head["sigmoid_applied"] = case.kind == "yolov8" or case.sigmoid == "inside"
    return head


def _layouts_after_cut(case: Case) -> list[str]:
    """Return the layouts that are right once decoding inside the graph is cut off, the expected one first."""
    match case.layout:
        case "split" | "split-cat":
            return ["split"]
        case "5d" | "columns":
            return [case.layout]
    wiring = "split" if case.split else "fused"
    layouts = [wiring]
    if case.na == 1:  # one anchor's concatenation reads the same either way
        layouts.append("fused" if case.split else "split")
    if case.anchored and case.layout.startswith("rows"):
        layouts.append("5d")
    if case.layout == "rows-grid":
        layouts.append("rows-grid")
    return layouts


def _notes(case: Case) -> str:
    notes = []
    if case.layout == "split-cat":
        notes.append("its graph is that of a fused head: only the hint tells them apart")
    if case.kind == "decoupled-base-c":
        notes.append("base conv to a fixed width")
    if case.wiring == "split":
        notes.append("box, conf and labels are viewed apart, then joined per anchor")
    if case.outputs == "shuffled":
        notes.append("outputs in no order")
    return "; ".join(notes)
