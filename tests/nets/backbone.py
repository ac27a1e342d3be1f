"""Backbones and necks: from the picture to one feature map per level."""

from __future__ import annotations

from layers import Layers, Tensor

CHANNELS = {2: 8, 4: 8, 8: 8, 16: 12, 32: 14, 64: 16}  # by stride


def features(layers: Layers, x: Tensor, strides: list[int], family: str) -> tuple[list[Tensor], str]:
    """Write a CSP backbone and a PAN neck; return the feature maps of strides, in order, and the head's scope.

    The backbone goes at least as deep as the neck needs for one upsampling, so
    that even a net of one level has a Resize and C3s behind a Concat. The maps
    that the neck goes on from have other consumers than the head.
    """
    stem = {"yolov5": _v6_stem, "yolov8": _v8_stem, "yolox": _focus_stem}[family]
    stage = layers.c2f if family == "yolov8" else layers.c3
    number = 0

    def scope(kind: str = "") -> str:
        nonlocal number
        number += 1
        return f"/backbone/{kind or 'stage'}{number}" if family == "yolox" else f"/model.{number}"

    x = stem(layers, x)
    deepest = max(strides[-1], 2 * strides[0], 16)
    taps: dict[int, Tensor] = {}
    while x.stride < deepest:
        out = CHANNELS[2 * x.stride]
        x = layers.block(x, out, 3, scope("dark"), stride=2)
        x = stage(x, out, scope("dark"))
        taps[x.stride] = x
    x = layers.sppf(x, scope("dark"))

    laterals: dict[int, Tensor] = {}
    while x.stride > strides[0]:
        upper = taps[x.stride // 2]
        laterals[x.stride] = x = layers.block(x, upper.channels, 1, scope("lateral"))
        merged = layers.concat([layers.upsample(x, scope("upsample")), upper], scope("merge"))
        x = stage(merged, upper.channels, scope("C3_p"), shortcut=False)
    out_maps = [x]
    while x.stride < strides[-1]:
        lateral = laterals[2 * x.stride]
        down = layers.block(x, x.channels, 3, scope("bu_conv"), stride=2)
        x = stage(layers.concat([down, lateral], scope("merge")), CHANNELS[down.stride], scope("C3_n"), shortcut=False)
        out_maps.append(x)
    return out_maps, "/head" if family == "yolox" else scope()


def _v6_stem(layers: Layers, x: Tensor) -> Tensor:
    """Write YOLOv5 6.0's 6x6 stem."""
    return layers.block(x, CHANNELS[2], 6, "/model.0", stride=2, stem=True)


def _v8_stem(layers: Layers, x: Tensor) -> Tensor:
    """Write YOLOv8's 3x3 stem."""
    return layers.block(x, CHANNELS[2], 3, "/model.0", stride=2, stem=True)


def _focus_stem(layers: Layers, x: Tensor) -> Tensor:
    """Write YOLOX's Focus stem."""
    return layers.block(layers.focus(x, "/backbone/stem"), CHANNELS[2], 3, "/backbone/stem", stem=True)
