"""Makes a detector whose network takes next to no time: one convolution for each level, and the small net's metadata.

    make_stub.py SMALL.onnx STUB.onnx

What is measured with it is what serves it. Runs under build/deps/venv.
"""

from __future__ import annotations

import sys

import numpy as np
import onnx
from onnx import helper, numpy_helper

SIZE = 64
ANCHORS, CLASSES = 3, 12


def main() -> None:
    small = onnx.load(sys.argv[1])
    rng = np.random.default_rng(1)
    nodes, weights, outputs = [], [], []
    channels = ANCHORS * (5 + CLASSES)
    bias = np.zeros((ANCHORS, 5 + CLASSES), np.float32)
    bias[:, 4], bias[:, 5:] = -4, 3  # few predictions pass, and those that do are sure of their class
    for i, stride in enumerate((8, 16, 32)):
        weight = rng.normal(0, 4 / stride, (channels, 3, stride, stride)).astype(np.float32)
        weights += [numpy_helper.from_array(weight, f"w{i}"), numpy_helper.from_array(bias.reshape(-1), f"b{i}")]
        kernel = {"strides": [stride] * 2, "kernel_shape": [stride] * 2}
        nodes.append(helper.make_node("Conv", ["images", f"w{i}", f"b{i}"], [f"output{i}"], **kernel))
        shape = ["batch", channels, SIZE // stride, SIZE // stride]
        outputs.append(helper.make_tensor_value_info(f"output{i}", onnx.TensorProto.FLOAT, shape))
    images = helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])
    graph = helper.make_graph(nodes, "stub", [images], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    model.metadata_props.extend(small.metadata_props)
    onnx.checker.check_model(model)
    onnx.save(model, sys.argv[2])


if __name__ == "__main__":
    main()
