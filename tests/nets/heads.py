"""Heads: from feature maps to raw predictions, with biases that let some rows through.

The prediction convs get their scale and bias from what they see on the
calibration pictures, channel by channel, according to what the decoder will
take the channel for. For a fused head that is not what the conv is called: see
field_of_channel.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from layers import Array, Layers, Tensor, conv2d, sigmoid

FIXED_CHANNELS = 12  # stands for the article's c = 256
REG_MAX = 16  # bins per side of YOLOv8's boxes
CONF, LABELS = 4, 5  # fields of a row: 0 to 3 the box, then these


@dataclass(frozen=True)
class HeadPlan:
    """What to put behind the feature maps."""

    kind: str  # coupled, decoupled-base-c, decoupled-base-x, decoupled, yolox, yolov8
    na: int
    classes: int
    split: bool  # the decoder keeps box, conf and labels apart per anchor
    threshold: float
    passing: float  # share of the rows whose score shall pass the threshold
    scope: str  # the head's module: /model.24 in a YOLOv5 of three levels

    @property
    def row(self) -> int:
        """Fields of one row: 5 + classes."""
        return 5 + self.classes


@dataclass(frozen=True)
class Prediction:
    """One 1x1 prediction conv, not yet written."""

    part: str  # all, box, conf, labels
    source: Tensor
    channels: int
    scope: str
    fields: list[int]  # what the decoder takes each channel for: 0 to 4, or 5 + class


@dataclass
class LevelMaps:
    """One level's raw predictions in the graph: tensor names by part (box, conf, labels or all)."""

    stride: int
    parts: dict[str, str] = field(default_factory=dict)
    raw: list[str] = field(default_factory=list)  # the tensors a decoder wants, once a layout has been chosen


def part_channels(plan: HeadPlan) -> dict[str, int]:
    """Return the channels of each prediction conv, in the order of the article's cat."""
    if plan.kind == "coupled":
        return {"all": plan.na * plan.row}
    box = 4 * REG_MAX if plan.kind == "yolov8" else 4 * plan.na
    conf = {} if plan.kind == "yolov8" else {"conf": plan.na}
    return {"box": box, **conf, "labels": plan.na * plan.classes}


def field_of_channel(plan: HeadPlan, part: str) -> list[int]:
    """Return what the decoder takes each channel of a prediction conv for.

    A split head keeps the parts apart: box a*4+k, conf a, label a*nc+k. A fused
    head is taken in channel order of the concatenation, whatever wrote it, so
    that anchor 0 of a head with 3 anchors finds its confidence in a box channel.
    """
    channels = part_channels(plan)
    if plan.split or plan.kind == "yolov8":
        per_anchor = {"box": range(4), "conf": [CONF], "labels": range(LABELS, plan.row)}[part]
        return list(per_anchor) * plan.na
    offset = 0
    for name, count in channels.items():
        if name == part:
            return [(offset + i) % plan.row for i in range(count)]
        offset += count
    raise ValueError(f"a {plan.kind} head has no part {part!r}")


def trunk(layers: Layers, x: Tensor, plan: HeadPlan, level: int) -> list[Prediction]:
    """Write one level's convs up to, but not including, the prediction convs."""

    def module(name: str) -> str:
        return f"{plan.scope}/{name}.{level}"

    match plan.kind:
        case "coupled":
            sources = {"all": x}
            names = {"all": "m"}
        case "decoupled" | "decoupled-base-c" | "decoupled-base-x":
            if plan.kind != "decoupled":
                out = FIXED_CHANNELS if plan.kind == "decoupled-base-c" else x.channels
                x = layers.block(x, out, 1, module("base_conv"))
            labels = layers.block(x, x.channels, 3, module("cls_convs"))
            box = layers.block(x, x.channels, 3, module("reg_convs"))
            sources = {"box": box, "conf": box, "labels": labels}
            names = {"box": "m_box", "conf": "m_conf", "labels": "m_labels"}
        case "yolox":
            x = layers.block(x, FIXED_CHANNELS, 1, module("stems"))
            labels = box = x
            for i in range(2):
                labels = layers.block(labels, FIXED_CHANNELS, 3, f"{module('cls_convs')}.{i}")
            for i in range(2):
                box = layers.block(box, FIXED_CHANNELS, 3, f"{module('reg_convs')}.{i}")
            sources = {"box": box, "conf": box, "labels": labels}
            names = {"box": "reg_preds", "conf": "obj_preds", "labels": "cls_preds"}
        case "yolov8":
            box = labels = x
            for i in range(2):
                box = layers.block(box, FIXED_CHANNELS, 3, f"{module('cv2')}.{i}")
            for i in range(2):
                labels = layers.block(labels, FIXED_CHANNELS, 3, f"{module('cv3')}.{i}")
            sources = {"box": box, "labels": labels}
            names = {"box": "cv2", "labels": "cv3"}
        case _:
            raise ValueError(f"no head of kind {plan.kind!r}")
    predictions = []
    for part, channels in part_channels(plan).items():
        # YOLOv8's boxes are bins, which its decoder does not take for fields
        fields = [0] * channels if plan.kind == "yolov8" and part == "box" else field_of_channel(plan, part)
        predictions.append(Prediction(part, sources[part], channels, module(names[part]), fields))
    return predictions


def predict(layers: Layers, levels: list[list[Prediction]], plan: HeadPlan) -> list[LevelMaps]:
    """Write the prediction convs of every level, calibrated together, and return their maps."""
    weights: list[list[tuple[Array, Array]]] = []  # per level and conv: weights and bias
    centered: list[list[Array]] = []  # their outputs, each channel with mean 0 and its field's spread
    for level in levels:
        weights.append([])
        centered.append([])
        for prediction in level:
            w = _blind_to_mood(layers.random_weights(prediction.channels, prediction.source.channels, 1), prediction)
            y = conv2d(prediction.source.data, w, 1)
            spread = np.array([_spread(plan, f, prediction.part) for f in prediction.fields], np.float32)
            gain = spread / (y.std((0, 2, 3)) + 1e-3)
            bias = -y.mean((0, 2, 3)) * gain
            weights[-1].append((w * gain[:, None, None, None], bias))
            centered[-1].append(y * gain[:, None, None] + bias[:, None, None])
    offsets = _offsets(plan, levels, centered)
    maps = []
    for level, level_weights in zip(levels, weights, strict=True):
        level_maps = LevelMaps(level[0].source.stride)
        for prediction, (w, bias) in zip(level, level_weights, strict=True):
            offset = np.array([offsets[f] for f in prediction.fields], np.float32)
            level_maps.parts[prediction.part] = layers.conv(prediction.source, w, bias + offset, prediction.scope)
        maps.append(level_maps)
    return maps


def _blind_to_mood(w: Array, prediction: Prediction) -> Array:
    """Take out of w the directions in which whole pictures differ, so that no picture gives all rows or none."""
    means = prediction.source.data.mean((2, 3))
    _, _, directions = np.linalg.svd(means - means.mean(0), full_matrices=False)
    top = directions[:4]
    flat = w[:, :, 0, 0]
    return np.asarray((flat - (flat @ top.T) @ top)[:, :, None, None], np.float32)


def _spread(plan: HeadPlan, row_field: int, part: str) -> float:
    """Return the standard deviation that a channel shall have."""
    if plan.kind == "yolov8" and part == "box":
        return 1.5  # of bins before the softmax
    if row_field < 2:
        return 1.0
    return 0.5 if row_field < CONF else 1.5


def _offsets(plan: HeadPlan, levels: list[list[Prediction]], centered: list[list[Array]]) -> list[float]:
    """Return the bias of every field: labels fairly sure, and conf such that plan.passing of the rows pass."""
    conf, best = [], []
    for level, outputs in zip(levels, centered, strict=True):
        if plan.kind == "yolov8":
            best.append(outputs[1].max(1).ravel())
            continue
        stacked = np.concatenate(outputs, 1)
        fields = np.array([f for prediction in level for f in prediction.fields])
        shape = (len(stacked), plan.na, -1, *stacked.shape[2:])
        conf.append(stacked[:, fields == CONF].ravel())
        best.append(stacked[:, fields >= LABELS].reshape(shape).max(2).ravel())
    label_max = np.concatenate(best)
    logit = float(np.log(plan.threshold / (1 - plan.threshold)))
    wh = 0.7 if plan.kind == "yolox" else 0.0
    if plan.kind == "yolov8":
        label = float(logit - np.quantile(label_max, 1 - plan.passing))
        return [0.0] * LABELS + [label] * plan.classes
    label = float(1.5 - label_max.mean())
    # a row passes where sigmoid(conf + bias) > threshold / sigmoid(label)
    wanted = plan.threshold / sigmoid(label_max + label)
    wanted = np.minimum(wanted, 0.999)
    bias = np.log(wanted / (1 - wanted)) - np.concatenate(conf)
    return [0.0, 0.0, wh, wh, float(np.quantile(bias, plan.passing)), *[label] * plan.classes]
