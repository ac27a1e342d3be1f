"""An ONNX file of this package in half precision: float16 weights, inputs, outputs and everything between.

PyTorch has no half-precision convolution on a CPU, so it cannot trace one
there. The traced file is rewritten instead.
"""

from __future__ import annotations

import numpy as np

from training.protobuf import BYTES, VARINT, Field, fields, pack

FLOAT, FLOAT16 = 1, 10  # TensorProto.DataType

# Numbers of the fields in onnx.proto.
GRAPH = 7  # of ModelProto
NODE, INITIALIZER, INPUT, OUTPUT, VALUE_INFO = 1, 5, 11, 12, 13  # of GraphProto
NODE_INPUT, NODE_OUTPUT, OP_TYPE, ATTRIBUTE = 1, 2, 4, 5  # of NodeProto
ATTRIBUTE_NAME, ATTRIBUTE_INT, ATTRIBUTE_TENSOR = 1, 3, 5  # of AttributeProto
DATA_TYPE, FLOAT_DATA, TENSOR_NAME, RAW_DATA = 2, 4, 8, 9  # of TensorProto
TYPE = 2  # of ValueInfoProto
TENSOR_TYPE = 1  # of TypeProto
ELEM_TYPE = 1  # of TypeProto.Tensor


def to_half(model: bytes) -> bytes:
    """Returns a serialized ONNX model with float16 in the place of float32."""
    return pack((n, k, _graph(v) if n == GRAPH else v) for n, k, v in fields(model))


def _graph(graph: bytes) -> bytes:
    content = list(fields(graph))
    kept = {name for number, _, node in content if number == NODE for name in _resize_inputs(node)}
    change = {NODE: _node, INITIALIZER: _tensor, INPUT: _value, OUTPUT: _value, VALUE_INFO: _value}
    out = []
    for number, kind, value in content:
        named = {NODE: NODE_OUTPUT, INITIALIZER: TENSOR_NAME}.get(number)
        stays = named is not None and kept & {v.decode() for n, _, v in fields(value) if n == named}
        out.append((number, kind, value if stays or number not in change else change[number](value)))
    return pack(out)


def _resize_inputs(node: bytes) -> list[str]:
    """Returns the names of a Resize's region and scales, which are float32 whatever is resized."""
    if _text(node, OP_TYPE) != "Resize":
        return []
    return [value.decode() for number, _, value in fields(node) if number == NODE_INPUT][1:3]


def _text(message: bytes, wanted: int) -> str:
    return next((value.decode() for number, _, value in fields(message) if number == wanted), "")


def _node(node: bytes) -> bytes:
    cast = _text(node, OP_TYPE) == "Cast"
    return pack((n, k, _attribute(v, cast) if n == ATTRIBUTE else v) for n, k, v in fields(node))


def _attribute(attribute: bytes, cast: bool) -> bytes:
    target = cast and _text(attribute, ATTRIBUTE_NAME) == "to"
    out = []
    for number, kind, value in fields(attribute):
        if number == ATTRIBUTE_TENSOR:
            value = _tensor(value)
        elif number == ATTRIBUTE_INT and target and value == FLOAT:
            value = FLOAT16
        out.append((number, kind, value))
    return pack(out)


def _tensor(tensor: bytes) -> bytes:
    content = list(fields(tensor))
    if (DATA_TYPE, VARINT, FLOAT) not in content:
        return tensor
    out: list[Field] = []
    for number, kind, value in content:
        if number == DATA_TYPE:
            value = FLOAT16
        elif number == RAW_DATA:
            value = np.frombuffer(value, "<f4").astype("<f2").tobytes()
        elif number == FLOAT_DATA:
            # PyTorch writes raw data alone
            raise ValueError("the weights of this ONNX file are not raw data; export it with PyTorch")
        out.append((number, kind, value))
    return pack(out)


def _value(value: bytes) -> bytes:
    """Returns a ValueInfoProto whose tensor is float16 where it was float32."""

    def tensor_type(message: bytes) -> bytes:
        return pack((n, k, FLOAT16 if (n, v) == (ELEM_TYPE, FLOAT) else v) for n, k, v in fields(message))

    def type_(message: bytes) -> bytes:
        return pack((n, k, tensor_type(v) if n == TENSOR_TYPE else v) for n, k, v in fields(message))

    return pack((n, k, type_(v) if n == TYPE and k == BYTES else v) for n, k, v in fields(value))
