"""An ONNX graph under construction, written the way PyTorch's exporter writes one.

It hides what differs between opsets (Split, Unsqueeze, Resize) and between a
raw export (scalars in Constant nodes, Expand behind ConstantOfShape and Where)
and a simplified one (scalars as initializers, constants folded). It knows
nothing of detectors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper

INT64_MAX = 2**63 - 1

# A dimension is a number, or the name of a scalar int64 tensor that holds it.
Dim = int | str


class Graph:
    """Nodes and initializers, in order, plus names that are never taken twice."""

    def __init__(self, opset: int, *, half: bool, scoped: bool, simplified: bool) -> None:
        """Start an empty graph.

        opset is 11 to 17; half makes every float constant float16; scoped names
        tensors /model.0/conv/Conv_output_0 (torch 1.13 and later) instead of 123;
        simplified folds constants as onnx-simplifier does.
        """
        self.opset = opset
        self.dtype: type[np.floating] = np.float16 if half else np.float32
        self.elem_type = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        self.scoped = scoped
        self.simplified = simplified
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._counts: Counter[str] = Counter()
        self._tensors = 100

    # names

    def _node_name(self, op: str, scope: str) -> str:
        key = f"{scope}/{op}" if self.scoped else op
        count = self._counts[key]
        self._counts[key] += 1
        if not self.scoped:
            return f"{op}_{sum(self._counts.values()) - 1}"
        return f"{key}_{count}" if count else key

    def new_tensor(self, hint: str = "onnx::Tensor") -> str:
        """Return a tensor name as the exporter makes them up: onnx::Conv_123 or 123."""
        self._tensors += 1
        return f"{hint}_{self._tensors}" if self.scoped else str(self._tensors)

    def rename(self, names: dict[str, str]) -> None:
        """Rename tensors that nodes write, as the exporter does with a graph's outputs."""
        for node in self.nodes:
            for tensors in (node.input, node.output):
                tensors[:] = [names.get(tensor, tensor) for tensor in tensors]

    # nodes

    def op(self, op: str, inputs: Sequence[str], scope: str = "", **attributes: Any) -> str:
        """Add a node with one output and return that output's name."""
        return self._add(op, inputs, scope, 1, attributes)[0]

    def _add(self, op: str, inputs: Sequence[str], scope: str, outputs: int, attributes: dict[str, Any]) -> list[str]:
        name = self._node_name(op, scope)
        if self.scoped:
            names = [f"{name}_output_{i}" for i in range(outputs)]
        else:
            names = [self.new_tensor() for _ in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=name, **attributes))
        return names

    def initializer(self, name: str, values: NDArray[Any]) -> str:
        """Add a named initializer; floats take the graph's float type."""
        if np.issubdtype(values.dtype, np.floating):
            values = values.astype(self.dtype)
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def constant(self, values: ArrayLike, scope: str = "", dtype: type[np.generic] | None = None) -> str:
        """Add a constant: floats in the graph's float type unless dtype says otherwise, integers as int64."""
        array = np.asarray(values)
        if dtype is None:
            dtype = self.dtype if np.issubdtype(array.dtype, np.floating) else np.int64
        array = array.astype(dtype)
        if self.simplified:
            name = self.new_tensor("onnx::Constant")
            self.initializers.append(numpy_helper.from_array(array, name))
            return name
        return self.op("Constant", [], scope, value=numpy_helper.from_array(array))

    # ops whose form depends on the opset

    def slice(self, x: str, axis: int, start: int, stop: int = INT64_MAX, step: int = 1, scope: str = "") -> str:
        """Add x[..., start:stop:step, ...] along one axis."""
        bounds = [self.constant([value], scope) for value in (start, stop, axis, step)]
        return self.op("Slice", [x, *bounds], scope)

    def split(self, x: str, sizes: Sequence[int], axis: int, scope: str = "") -> list[str]:
        """Add a Split into the given sizes: an attribute before opset 13, an input from there on."""
        if self.opset < 13:
            return self._add("Split", [x], scope, len(sizes), {"axis": axis, "split": list(sizes)})
        return self._add("Split", [x, self.constant(list(sizes), scope)], scope, len(sizes), {"axis": axis})

    def unsqueeze(self, x: str, axis: int, scope: str = "") -> str:
        """Add an Unsqueeze of one axis."""
        if self.opset < 13:
            return self.op("Unsqueeze", [x], scope, axes=[axis])
        return self.op("Unsqueeze", [x, self.constant([axis], scope)], scope)

    def upsample(self, x: str, scope: str = "") -> str:
        """Add the Resize that torch writes for nn.Upsample(None, 2, 'nearest')."""
        roi = "" if self.opset >= 13 else self.constant([], scope, np.float32)
        scales = self.constant([1.0, 1.0, 2.0, 2.0], scope, np.float32)
        return self.op(
            "Resize",
            [x, roi, scales],
            scope,
            coordinate_transformation_mode="asymmetric",
            cubic_coeff_a=-0.75,
            mode="nearest",
            nearest_mode="floor",
        )

    # shapes

    def dim(self, x: str, axis: int, scope: str = "") -> str:
        """Add Shape and Gather: the size of one axis as a scalar tensor."""
        return self.op("Gather", [self.op("Shape", [x], scope), self.constant(axis, scope)], scope, axis=0)

    def shape(self, dims: Sequence[Dim], scope: str = "") -> str:
        """Return a 1-D int64 tensor of dims: a constant when all are numbers, else a Concat."""
        if all(isinstance(d, int) for d in dims):
            return self.constant(list(dims), scope)
        parts = [self.constant([d], scope) if isinstance(d, int) else self.unsqueeze(d, 0, scope) for d in dims]
        return self.op("Concat", parts, scope, axis=0)

    def expand(self, x: str, shape: str, scope: str = "") -> str:
        """Add Tensor.expand as torch exports it: a -1 in the shape becomes 1, then Expand."""
        if not self.simplified:
            one = numpy_helper.from_array(np.ones(1, np.int64))
            ones = self.op("ConstantOfShape", [self.op("Shape", [shape], scope)], scope, value=one)
            minus = self.op("Mul", [ones, self.constant(-1, scope)], scope)
            shape = self.op("Where", [self.op("Equal", [shape, minus], scope), ones, shape], scope)
        return self.op("Expand", [x, shape], scope)

    def arange(self, count: str, scope: str = "") -> str:
        """Add torch.arange(count) of a scalar tensor, int64."""
        count = self.op("Cast", [count], scope, to=TensorProto.INT64)
        return self.op("Range", [self.constant(0, scope), count, self.constant(1, scope)], scope)

    def assign(self, y: str, dims: Sequence[Dim], start: int, stop: int, value: str, scope: str = "") -> str:
        """Add y[..., start:stop] = value as torch exports it: a ScatterND over every index.

        dims is y's shape; the slice is of its last axis. Where all of dims are
        numbers a simplified graph holds the indices as one initializer.
        """
        box = [*dims[:-1], stop - start]
        if self.simplified and all(isinstance(d, int) for d in box):
            sizes = [int(d) for d in box]
            indices = np.moveaxis(np.indices(sizes), 0, -1)
            indices[..., -1] += start
            return self.op("ScatterND", [y, self.constant(indices, scope), value], scope)
        target = self.slice(y, len(dims) - 1, start, stop, scope=scope)
        value = self.op("Expand", [value, self.op("Shape", [target], scope)], scope)
        shape = self.shape(box, scope)
        columns = []
        for axis, size in enumerate(box):
            column = [-1] + [1] * (len(box) - 1 - axis)
            if axis == len(box) - 1:
                index = self.constant(list(range(start, stop)), scope)
            elif isinstance(size, int):
                index = self.constant(np.arange(size).reshape(column), scope)
            else:
                index = self.op("Reshape", [self.arange(size, scope), self.constant(column, scope)], scope)
            columns.append(self.unsqueeze(self.expand(index, shape, scope), -1, scope))
        indices_name = self.op("Concat", columns, scope, axis=-1)
        rest = self.slice(self.op("Shape", [y], scope), 0, len(box), scope=scope)
        value = self.op("Reshape", [value, self.op("Concat", [shape, rest], scope, axis=0)], scope)
        return self.op("ScatterND", [y, indices_name, value], scope)
