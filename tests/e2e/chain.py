#!/usr/bin/env python3
"""Write a detector whose backbone is a chain of many small convolutions: valid, and slow to build an engine from."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CHANNELS = 8
CLASSES = 3
ANCHORS = 3
STRIDES = (8, 16, 32)
SIZE = 128


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--nodes", type=int, default=3000, help="convolutions in the chain (default: %(default)s)")
    options = parser.parse_args()
    onnx.save_model(chain(options.nodes), str(options.out))


def chain(nodes: int) -> onnx.ModelProto:
    """Return the model: a strided stem per level, the chain on the finest, one 1x1 conv per level as its head."""
    rng = np.random.default_rng(0)
    weights: list[onnx.TensorProto] = []
    graph: list[onnx.NodeProto] = []

    def conv(x: str, name: str, inside: int, outside: int, kernel: int, stride: int = 1) -> str:
        w = rng.normal(0, 0.1, (outside, inside, kernel, kernel)).astype(np.float32)
        weights.append(numpy_helper.from_array(w, f"{name}.w"))
        graph.append(
            helper.make_node(
                "Conv", [x, f"{name}.w"], [name], name, strides=[stride, stride], pads=[(kernel - 1) // 2] * 4
            )
        )
        return name

    x = conv("images", "stem", 3, CHANNELS, 3, STRIDES[0])
    for i in range(nodes):
        x = conv(x, f"chain.{i}", CHANNELS, CHANNELS, 3)
    outputs = []
    no = ANCHORS * (5 + CLASSES)
    for level, stride in enumerate(STRIDES):
        if level > 0:
            x = conv(x, f"down.{level}", CHANNELS, CHANNELS, 3, 2)
        y = conv(x, f"map.{level}", CHANNELS, no, 1)
        shape = [1, no, SIZE // stride, SIZE // stride]
        outputs.append(helper.make_tensor_value_info(y, TensorProto.FLOAT, shape))
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIZE, SIZE])
    body = helper.make_graph(graph, "chain", [images], outputs, weights)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    return model


if __name__ == "__main__":
    main()
