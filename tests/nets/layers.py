"""Layers that are written into a graph and computed at once on calibration pictures.

Computing along the way is what makes random weights behave: BatchNorm gets the
statistics that training would have left it, quantization its scales, and the
prediction convs their biases. Tensors here are (B, C, H, W) float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from graph import Graph
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

EPSILON = 1e-3  # YOLOv5's BatchNorm2d.eps

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph and its value on the calibration pictures."""

    name: str
    data: Array
    stride: int

    @property
    def channels(self) -> int:
        """The number of channels."""
        return int(self.data.shape[1])


@dataclass(frozen=True)
class Style:
    """How every conv block of a net is written."""

    activation: str  # silu, relu, leaky
    folded: bool  # BatchNorm folded into the conv before it
    quantized: str  # "" for none, "tensor" or "channel": symmetric int8 behind Q/DQ


def conv2d(x: Array, w: Array, stride: int) -> Array:
    """Convolve with same padding (k - 1) // 2; a 6x6 stem pads 2 as YOLOv5's does."""
    k = w.shape[2]
    if k == 1 and stride == 1:
        return (w[:, :, 0, 0] @ x.reshape(*x.shape[:2], -1)).reshape(len(x), -1, *x.shape[2:])
    pad = (k - 1) // 2
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = sliding_window_view(x, (k, k), axis=(2, 3))[:, :, ::stride, ::stride]
    return np.moveaxis(np.tensordot(windows, w, ((1, 4, 5), (1, 2, 3))), 3, 1).astype(np.float32)


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x))."""
    return (1 / (1 + np.exp(-x))).astype(np.float32)


def max_pool5(x: Array) -> Array:
    """Pool 5x5, stride 1, same size."""
    x = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)), constant_values=-np.inf)
    return np.asarray(sliding_window_view(x, (5, 5), axis=(2, 3)).max((4, 5)), np.float32)


class Layers:
    """Writes layers into a graph and computes them."""

    def __init__(self, graph: Graph, style: Style, rng: np.random.Generator) -> None:
        """Write into graph, in this style, with weights drawn from rng."""
        self.graph = graph
        self.style = style
        self.rng = rng
        self._quantized: dict[str, str] = {}

    def random_weights(self, out: int, channels: int, k: int) -> Array:
        """Draw conv weights (out, channels, k, k) with unit gain."""
        return self.rng.normal(0, (channels * k * k) ** -0.5, (out, channels, k, k)).astype(np.float32)

    def conv(self, x: Tensor, w: Array, bias: Array | None, scope: str, stride: int = 1) -> str:
        """Write a Conv, with Q/DQ around its input and weights in a quantized net; return its output's name."""
        k = w.shape[2]
        parameters = scope.removeprefix("/").replace("/", ".")
        inputs = [x.name]
        if self.style.quantized:
            inputs = [self._quantize(x, scope), self._quantized_weight(w, parameters, scope)]
        else:
            inputs.append(self.graph.initializer(f"{parameters}.weight", w))
        if bias is not None:
            inputs.append(self.graph.initializer(f"{parameters}.bias", bias))
        return self.graph.op(
            "Conv",
            inputs,
            scope,
            dilations=[1, 1],
            group=1,
            kernel_shape=[k, k],
            pads=[(k - 1) // 2] * 4,
            strides=[stride, stride],
        )

    def _quantize(self, x: Tensor, scope: str) -> str:
        """Write QuantizeLinear and DequantizeLinear behind x, once however many convs read it."""
        if x.name not in self._quantized:
            scale = self.graph.constant(np.abs(x.data).max() / 127, scope, np.float32)
            zero = self.graph.constant(0, scope, np.int8)
            q = self.graph.op("QuantizeLinear", [x.name, scale, zero], scope)
            self._quantized[x.name] = self.graph.op("DequantizeLinear", [q, scale, zero], scope)
        return self._quantized[x.name]

    def _quantized_weight(self, w: Array, parameters: str, scope: str) -> str:
        per_channel = self.style.quantized == "channel"
        scale = np.abs(w).max((1, 2, 3)) if per_channel else np.abs(w).max()
        scale = np.maximum(scale / 127, 1e-8).astype(np.float32)
        q = np.round(w / (scale[:, None, None, None] if per_channel else scale)).clip(-127, 127).astype(np.int8)
        inputs = [
            self.graph.initializer(f"{parameters}.weight_quantized", q),
            self.graph.constant(scale, scope, np.float32),
            self.graph.constant(np.zeros(scale.shape), scope, np.int8),
        ]
        if per_channel:
            return self.graph.op("DequantizeLinear", inputs, scope, axis=0)
        return self.graph.op("DequantizeLinear", inputs, scope)

    def block(self, x: Tensor, out: int, k: int, scope: str, stride: int = 1, *, stem: bool = False) -> Tensor:
        """Write Conv, BatchNorm and activation: YOLOv5's Conv, the article's and YOLOX's BaseConv.

        A stem sees edges but no plain color, as a trained one does: a picture's
        tint then does not decide how many candidates it gives.
        """
        w = self.random_weights(out, x.channels, k)
        if stem:
            per_color = w.reshape(out, -1, 3, k, k)
            w = (per_color - per_color.mean((1, 3, 4), keepdims=True)).reshape(w.shape)
        y = conv2d(x.data, w, stride)
        mean, variance = y.mean((0, 2, 3)), y.var((0, 2, 3))
        # a channel that is still on the calibration pictures must not explode on others
        variance = (variance + variance.mean()) / 2
        gamma = self.rng.uniform(0.8, 1.3, out).astype(np.float32)
        beta = self.rng.uniform(-0.3, 0.4, out).astype(np.float32)
        gain = gamma / np.sqrt(variance + EPSILON)
        y = (y - mean[:, None, None]) * gain[:, None, None] + beta[:, None, None]
        if self.style.folded:
            name = self.conv(x, w * gain[:, None, None, None], beta - mean * gain, f"{scope}/conv", stride)
        else:
            name = self.conv(x, w, None, f"{scope}/conv", stride)
            parameters = scope.removeprefix("/").replace("/", ".")
            values = {"weight": gamma, "bias": beta, "running_mean": mean, "running_var": variance}
            inputs = [self.graph.initializer(f"{parameters}.bn.{key}", value) for key, value in values.items()]
            name = self.graph.op("BatchNormalization", [name, *inputs], f"{scope}/bn", epsilon=EPSILON, momentum=0.97)
        return self._activate(Tensor(name, y.astype(np.float32), x.stride * stride), f"{scope}/act")

    def _activate(self, x: Tensor, scope: str) -> Tensor:
        match self.style.activation:
            case "relu":
                return Tensor(self.graph.op("Relu", [x.name], scope), np.maximum(x.data, 0), x.stride)
            case "leaky":
                name = self.graph.op("LeakyRelu", [x.name], scope, alpha=0.1)
                return Tensor(name, np.where(x.data > 0, x.data, np.float32(0.1) * x.data), x.stride)
            case "silu":
                gate = self.graph.op("Sigmoid", [x.name], scope)
                return Tensor(self.graph.op("Mul", [x.name, gate], scope), x.data * sigmoid(x.data), x.stride)
        raise ValueError(f"activation {self.style.activation!r} is none of silu, relu, leaky")

    def add(self, a: Tensor, b: Tensor, scope: str) -> Tensor:
        """Write a residual Add."""
        return Tensor(self.graph.op("Add", [a.name, b.name], scope), a.data + b.data, a.stride)

    def concat(self, parts: list[Tensor], scope: str) -> Tensor:
        """Write a Concat of channels."""
        name = self.graph.op("Concat", [part.name for part in parts], scope, axis=1)
        return Tensor(name, np.concatenate([part.data for part in parts], 1), parts[0].stride)

    def upsample(self, x: Tensor, scope: str) -> Tensor:
        """Write a nearest Resize by two."""
        return Tensor(self.graph.upsample(x.name, scope), x.data.repeat(2, 2).repeat(2, 3), x.stride // 2)

    def focus(self, x: Tensor, scope: str) -> Tensor:
        """Write YOLOX's (and old YOLOv5's) Focus: four strided slices, concatenated."""
        names, parts = [], []
        for top, left in ((0, 0), (1, 0), (0, 1), (1, 1)):
            rows = self.graph.slice(x.name, 2, top, step=2, scope=scope)
            names.append(self.graph.slice(rows, 3, left, step=2, scope=scope))
            parts.append(x.data[:, :, top::2, left::2])
        return Tensor(self.graph.op("Concat", names, scope, axis=1), np.concatenate(parts, 1), x.stride * 2)

    def bottleneck(self, x: Tensor, scope: str, *, shortcut: bool) -> Tensor:
        """Write YOLOv5's Bottleneck: 1x1, 3x3, and x added where shortcut is set."""
        y = self.block(self.block(x, x.channels, 1, f"{scope}/cv1"), x.channels, 3, f"{scope}/cv2")
        return self.add(x, y, scope) if shortcut else y

    def c3(self, x: Tensor, out: int, scope: str, *, shortcut: bool = True) -> Tensor:
        """Write YOLOv5's C3: two 1x1 branches, one with a bottleneck, Concat, and a last 1x1."""
        hidden = out // 2
        deep = self.bottleneck(self.block(x, hidden, 1, f"{scope}/cv1"), f"{scope}/m/m.0", shortcut=shortcut)
        flat = self.block(x, hidden, 1, f"{scope}/cv2")
        return self.block(self.concat([deep, flat], scope), out, 1, f"{scope}/cv3")

    def c2f(self, x: Tensor, out: int, scope: str, *, shortcut: bool = True) -> Tensor:
        """Write YOLOv8's C2f: 1x1, Split, a bottleneck on one half, Concat of all, 1x1."""
        hidden = out // 2
        x = self.block(x, out, 1, f"{scope}/cv1")
        names = self.graph.split(x.name, [hidden, hidden], 1, scope)
        halves = [Tensor(name, x.data[:, i * hidden : (i + 1) * hidden], x.stride) for i, name in enumerate(names)]
        deep = self.bottleneck(halves[1], f"{scope}/m.0", shortcut=shortcut)
        return self.block(self.concat([*halves, deep], scope), out, 1, f"{scope}/cv2")

    def sppf(self, x: Tensor, scope: str) -> Tensor:
        """Write YOLOv5's SPPF: 1x1, three 5x5 poolings in a row, Concat, 1x1."""
        pools = [self.block(x, x.channels // 2, 1, f"{scope}/cv1")]
        for _ in range(3):
            last = pools[-1]
            name = self.graph.op(
                "MaxPool",
                [last.name],
                f"{scope}/m",
                ceil_mode=0,
                kernel_shape=[5, 5],
                pads=[2, 2, 2, 2],
                strides=[1, 1],
            )
            pools.append(Tensor(name, max_pool5(last.data), last.stride))
        return self.block(self.concat(pools, scope), x.channels, 1, f"{scope}/cv2")
