#!/usr/bin/env python3
"""Write one detector into a folder in every odd form of ONNX that ONNX Runtime takes; all compute the same."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, helper, numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16

DOMAIN = "tests.functions"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="with a free batch and size, and raw maps of three anchors as outputs")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True)
    for form in [half, functions, branch, negative, shared, allowzero]:
        model = form(onnx.load(args.model))
        (args.out / f"{form.__name__}.onnx").write_bytes(model.SerializeToString())


def half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model in float16 by a public converter, with the nodes in reverse order: some of its releases left
    Casts behind the nodes that read them."""
    model = convert_float_to_float16(model, keep_io_types=True)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))
    return model


def functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model as one call of a function that calls another for each convolution, as dynamo's exporter nests
    modules."""
    graph = model.graph
    for node in graph.node:
        if node.op_type == "Conv":
            node.op_type, node.domain = "Convolve", DOMAIN
    names = ["kernel_shape", "strides", "pads", "group", "dilations"]
    conv = helper.make_node("Conv", ["x", "weight", "bias"], ["y"])
    for name in names:
        kind = AttributeProto.INT if name == "group" else AttributeProto.INTS
        conv.attribute.append(AttributeProto(name=name, type=kind, ref_attr_name=name))
    opsets = [*model.opset_import, helper.make_opsetid(DOMAIN, 1)]
    convolve = helper.make_function(DOMAIN, "Convolve", ["x", "weight", "bias"], ["y"], [conv], opsets, names)
    inputs = [i.name for i in graph.input] + [w.name for w in graph.initializer]
    outputs = [o.name for o in graph.output]
    whole = helper.make_function(DOMAIN, "Detector", inputs, outputs, list(graph.node), opsets)
    del graph.node[:]
    graph.node.append(helper.make_node("Detector", inputs, outputs, "detector", domain=DOMAIN))
    model.functions.extend([whole, convolve])
    model.opset_import.append(opsets[-1])
    model.ir_version = 8
    return model


def branch(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model inside the branch of an If that is always taken."""
    graph = model.graph
    outputs = [o.name for o in graph.output]
    for node in graph.node:
        for k, name in enumerate(node.output):
            if name in outputs:
                node.output[k] = f"{name}_inside"
    infos = [helper.make_tensor_value_info(f"{name}_inside", onnx.TensorProto.FLOAT, None) for name in outputs]
    taken = helper.make_graph(list(graph.node), "taken", [], infos)
    zero = [helper.make_node("ReduceMax", ["images"], [f"{name}_inside"]) for name in outputs]
    other = helper.make_graph(zero, "other", [], infos)
    del graph.node[:]
    graph.initializer.append(numpy_helper.from_array(np.array(0), "training"))
    graph.node.extend(
        [
            helper.make_node("Cast", ["training"], ["is_training"], to=onnx.TensorProto.BOOL),
            helper.make_node("If", ["is_training"], outputs, "mode", then_branch=other, else_branch=taken),
        ]
    )
    return model


def negative(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with -1 for every free dimension."""
    for value in [*model.graph.input, *model.graph.output]:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_value = -1
    return model


def shared(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with one name for height and width."""
    for value in [*model.graph.input, *model.graph.output]:
        for dim in value.type.tensor_type.shape.dim[2:]:
            dim.dim_param = "size"
    return model


def allowzero(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model for one image of 256x384 with 5-D outputs, by Reshapes as torch 2.9 and newer write them."""
    graph = model.graph
    for dim, size in zip(graph.input[0].type.tensor_type.shape.dim, [1, 3, 256, 384], strict=True):
        dim.dim_value = size
    for level, output in enumerate(graph.output):
        no = output.type.tensor_type.shape.dim[1].dim_value // 3
        shape = np.array([1, 3, no, 256 // (8 << level), 384 // (8 << level)])
        graph.initializer.append(numpy_helper.from_array(shape, f"shape{level}"))
        graph.node.append(
            helper.make_node("Reshape", [output.name, f"shape{level}"], [f"view{level}"], allowzero=1),
        )
        graph.node.append(
            helper.make_node("Transpose", [f"view{level}"], [f"last{level}"], perm=[0, 1, 3, 4, 2]),
        )
        output.CopyFrom(helper.make_tensor_value_info(f"last{level}", onnx.TensorProto.FLOAT, None))
    model.opset_import[0].version = 14
    return model


if __name__ == "__main__":
    main()
