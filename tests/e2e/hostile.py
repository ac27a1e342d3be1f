#!/usr/bin/env python3
"""Write ONNX files that crash, stall or mislead a parser, and some that are sound and no detector, into a folder."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 64


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    (out / "model").mkdir(parents=True)
    (out / "secret").write_bytes(bytes(8 * 3 * 3 * 3 * 4))
    (out / "model" / "link").symlink_to("../secret")
    for name, model in models(out).items():
        (out / "model" / f"{name}.onnx").write_bytes(model.SerializeToString())


def models(out: Path) -> dict[str, onnx.ModelProto]:
    """Return the models by name."""
    relu = helper.make_node("Relu", ["y"], ["z"])
    twice = [("F", [call(f"F{i + 1}", "a", "m"), call(f"F{i + 1}", "m", "b")]) for i in range(40)]
    explosive = [(f"{name}{i}", nodes) for i, (name, nodes) in enumerate(twice)]
    chain = [helper.make_node("Relu", [f"c{i}" if i else "y"], [f"c{i + 1}"]) for i in range(20_000)]
    nested = helper.make_graph([], "leaf", [], [])
    for i in range(24):  # protobuf itself goes no deeper than 100 messages
        node = helper.make_node("If", ["y"], [f"n{i}"], then_branch=nested, else_branch=nested if i < 3 else None)
        nested = helper.make_graph([node], f"nest{i}", [], [])
    return {
        "no-outputs": network([relu, helper.make_node("Relu", ["z"], [])]),
        "topk": network([helper.make_node("TopK", ["y", "y"], ["z"])]),
        "recursive": calling(("F", [call("F", "a", "b")])),
        "explosive": calling(*explosive, ("F40", [helper.make_node("Relu", ["a"], ["b"])]), first="F0"),
        "opsets": calling(("F", [helper.make_node("Relu", ["a"], ["b"])]), opset=9),
        "misnamed": calling(("F", [helper.make_node("Relu", ["y"], ["b"])])),
        "chain": network(chain),
        "nested": network([helper.make_node("If", ["y"], ["z"], then_branch=nested)]),
        "empty": helper.make_model(helper.make_graph([], "g", [], [])),
        "cycle": network([helper.make_node("Relu", ["b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]),
        "outside": external("../secret"),
        "absolute": external(str((out / "secret").resolve())),
        "link": external("link"),
        "missing": external("nothing.bin"),
        "itself": external("itself.onnx", length=1 << 40),
        "huge": network([helper.make_node("ConstantOfShape", ["shape"], ["z"])], weights=[huge()]),
        "classifier": network(
            [helper.make_node("GlobalAveragePool", ["y"], ["p"]), helper.make_node("Flatten", ["p"], ["z"])]
        ),
        "two-inputs": two_inputs(),
        "bytes": network([relu], kind=TensorProto.UINT8),
    }


def network(
    nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto] | None = None, kind: int = TensorProto.FLOAT
) -> onnx.ModelProto:
    """Return a conv followed by nodes, whose last output, if it has one, is the model's."""
    conv = helper.make_node("Conv", ["images", "w"], ["y"], "conv", pads=[1, 1, 1, 1])
    w = numpy_helper.from_array(np.ones((8, 3, 3, 3), np.float32), "w")
    last = next((o for node in reversed(nodes) for o in node.output), "y")
    images = helper.make_tensor_value_info("images", kind, [1, 3, SIDE, SIDE])
    output = helper.make_tensor_value_info(last, TensorProto.FLOAT, None)
    body = helper.make_graph([conv, *nodes], "g", [images], [output], [w, *(weights or [])])
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def call(name: str, source: str, target: str) -> onnx.NodeProto:
    """Return a node that calls a local function."""
    return helper.make_node(name, [source], [target], domain="f")


def calling(*functions: tuple[str, list[onnx.NodeProto]], first: str = "F", opset: int = 13) -> onnx.ModelProto:
    """Return a model that calls the first of local functions from a to b."""
    model = network([call(first, "y", "z")])
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("f", 1)]
    model.opset_import.append(opsets[1])
    for name, nodes in functions:
        model.functions.append(helper.make_function("f", name, ["a"], ["b"], nodes, opsets))
    return model


def external(location: str, length: int = 8 * 3 * 3 * 3 * 4) -> onnx.ModelProto:
    """Return a model whose weights lie in another file."""
    model = network([])
    w = model.graph.initializer[0]
    w.ClearField("raw_data")
    w.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": str(length)}.items():
        entry = w.external_data.add()
        entry.key, entry.value = key, value
    return model


def huge() -> onnx.TensorProto:
    """Return the shape of a tensor that no memory holds."""
    return numpy_helper.from_array(np.array([1 << 20, 1 << 20, 1 << 10], np.int64), "shape")


def two_inputs() -> onnx.ModelProto:
    """Return a model that wants two pictures."""
    model = network([helper.make_node("Add", ["y", "other"], ["z"])])
    model.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, [1, 8, SIDE, SIDE]))
    return model


if __name__ == "__main__":
    main()
