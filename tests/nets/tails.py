"""Tails: from raw predictions to the outputs of a layout, decoded in the graph where the layout is.

The graphs follow what torch writes for YOLOv5 6.x (in-place, slices), YOLOv5
7.0 (split), YOLOX and YOLOv8. ny and nx are a level's rows and columns of cells.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from graph import Dim, Graph
from heads import REG_MAX, HeadPlan, LevelMaps

Anchors = list[list[float]]  # width and height in pixels of the input, per anchor


@dataclass(frozen=True)
class Output:
    """An output of the net: its name and shape, a string where a dimension is free."""

    name: str
    shape: list[Dim]


class Tail:
    """Writes what comes behind the prediction convs."""

    def __init__(
        self,
        graph: Graph,
        plan: HeadPlan,
        imgsz: tuple[int, int],
        *,
        batch: int | None,
        free_size: bool,
        flavor: str,
        sigmoid: bool,
    ) -> None:
        """Write into graph; batch is None where it is free, flavor in-place, slices or split, or none."""
        self.graph = graph
        self.plan = plan
        self.imgsz = imgsz
        self.batch = batch
        self.free_size = free_size
        self.flavor = flavor
        self.sigmoid = sigmoid
        self.scope = plan.scope

    # sizes

    @property
    def _declared_batch(self) -> Dim:
        return "batch" if self.batch is None else self.batch

    def _batch(self, x: str) -> Dim:
        return self.batch if self.batch is not None else self.graph.dim(x, 0, self.scope)

    def _cells(self, x: str, stride: int) -> tuple[Dim, Dim]:
        if self.free_size:
            return self.graph.dim(x, 2, self.scope), self.graph.dim(x, 3, self.scope)
        return self.imgsz[0] // stride, self.imgsz[1] // stride

    def _rows(self, maps: Iterable[LevelMaps]) -> Dim:
        if self.free_size:
            return "anchors"
        cells = [(self.imgsz[0] // m.stride) * (self.imgsz[1] // m.stride) for m in maps]
        return self.plan.na * sum(cells)

    def _shape(self, *dims: int, stride: int, last: bool = False) -> list[Dim]:
        """Return (B, *dims, ny, nx), or (B, na, ny, nx, no) with last set, as an output declares it."""
        cells: list[Dim] = [f"rows{stride}", f"columns{stride}"]
        if not self.free_size:
            cells = [self.imgsz[0] // stride, self.imgsz[1] // stride]
        return [self._declared_batch, *(dims[:1] if last else dims), *cells, *(dims[1:] if last else ())]

    # raw maps

    def fuse(self, maps: LevelMaps) -> str:
        """Write cat((box, conf, labels), 1), YOLOX's with its sigmoids; a coupled conv is that already."""
        if "all" in maps.parts:
            return maps.parts["all"]
        parts = [self._activated(maps, part) for part in maps.parts]
        return self.graph.op("Concat", parts, self.scope, axis=1)

    def _activated(self, maps: LevelMaps, part: str) -> str:
        if self.sigmoid and part != "box":
            return self.graph.op("Sigmoid", [maps.parts[part]], self.scope)
        return maps.parts[part]

    def fused(self, maps: LevelMaps) -> list[Output]:
        """Write one map (B, na*no, ny, nx)."""
        name = self.fuse(maps)
        maps.raw = [name]
        return [Output(name, self._shape(self.plan.na * self.plan.row, stride=maps.stride))]

    def split(self, maps: LevelMaps) -> list[Output]:
        """Write box, conf and labels apart."""
        maps.raw = [self._activated(maps, part) for part in maps.parts]
        channels = (4 * self.plan.na, self.plan.na, self.plan.na * self.plan.classes)
        return [Output(n, self._shape(c, stride=maps.stride)) for n, c in zip(maps.raw, channels, strict=True)]

    def five_d(self, maps: LevelMaps) -> list[Output]:
        """Write (B, na, ny, nx, no)."""
        name = self.view(maps)
        maps.raw = [name]
        return [Output(name, self._shape(self.plan.na, self.plan.row, stride=maps.stride, last=True))]

    def view(self, maps: LevelMaps) -> str:
        """Write x.view(bs, na, no, ny, nx) and permute it to (bs, na, ny, nx, no).

        A split head views its parts one by one, then joins them per anchor.
        """
        g, plan = self.graph, self.plan
        if plan.split:
            maps.raw = list(maps.parts.values())
            widths = (4, 1, plan.classes)
            views = [self._view(x, w, maps.stride) for x, w in zip(maps.raw, widths, strict=True)]
            joined = g.op("Concat", views, self.scope, axis=2)
        else:
            maps.raw = [self.fuse(maps)]
            joined = self._view(maps.raw[0], plan.row, maps.stride)
        return g.op("Transpose", [joined], self.scope, perm=[0, 1, 3, 4, 2])

    def _view(self, x: str, width: int, stride: int) -> str:
        shape = self.graph.shape([self._batch(x), self.plan.na, width, *self._cells(x, stride)], self.scope)
        return self.graph.op("Reshape", [x, shape], self.scope)

    # YOLOv5's rows

    def yolov5_rows(self, maps: list[LevelMaps], anchors: list[Anchors]) -> tuple[Output, list[Output]]:
        """Write (B, N, 5+nc), decoded, and return it and the 5-d maps it comes from."""
        g = self.graph
        rows, views = [], []
        for level, level_anchors in zip(maps, anchors, strict=True):
            p = self.view(level)
            shape = self._shape(self.plan.na, self.plan.row, stride=level.stride, last=True)
            views.append(Output(p, shape))
            decoded = self._decode_yolov5(level, p, level_anchors)
            batch = self._batch(decoded)
            rows.append(g.op("Reshape", [decoded, g.shape([batch, -1, self.plan.row], self.scope)], self.scope))
        name = g.op("Concat", rows, self.scope, axis=1)
        return Output(name, [self._declared_batch, self._rows(maps), self.plan.row]), views

    def _decode_yolov5(self, level: LevelMaps, p: str, anchors: Anchors) -> str:
        g, scope, half = self.graph, self.scope, self.flavor == "split"
        source = level.raw[0]
        ny, nx = self._cells(source, level.stride)
        grid = self._grid5(ny, nx, shifted=half)
        sizes = self._anchor_grid(anchors, ny, nx)
        y = g.op("Sigmoid", [p], scope)

        def xy(s: str) -> str:
            s = g.op("Mul", [s, g.constant(2.0, scope)], scope)
            if not half:
                s = g.op("Sub", [s, g.constant(0.5, scope)], scope)
            s = g.op("Add", [s, grid], scope)
            return g.op("Mul", [s, g.constant(float(level.stride), scope)], scope)

        def wh(s: str) -> str:
            s = g.op("Mul", [s, g.constant(2.0, scope)], scope)
            return g.op("Mul", [g.op("Pow", [s, g.constant(2.0, scope)], scope), sizes], scope)

        if self.flavor == "in-place":
            dims: list[Dim] = [self._batch(y), self.plan.na, ny, nx, self.plan.row]
            y = g.assign(y, dims, 0, 2, xy(g.slice(y, 4, 0, 2, scope=scope)), scope)
            return g.assign(y, dims, 2, 4, wh(g.slice(y, 4, 2, 4, scope=scope)), scope)
        if self.flavor == "split":
            first, second, rest = g.split(y, [2, 2, self.plan.row - 4], 4, scope)
            return g.op("Concat", [xy(first), wh(second), rest], scope, axis=4)
        first, second = (g.slice(y, 4, start, start + 2, scope=scope) for start in (0, 2))
        return g.op("Concat", [xy(first), wh(second), g.slice(y, 4, 4, scope=scope)], scope, axis=-1)

    def _grid5(self, ny: Dim, nx: Dim, *, shifted: bool) -> str:
        """Write the grid (1, na, ny, nx, 2): a constant, or made from ny and nx; less 0.5 as 7.0 has it."""
        g, scope, na = self.graph, self.scope, self.plan.na
        if isinstance(ny, int) and isinstance(nx, int):
            cells = np.stack(np.meshgrid(np.arange(nx), np.arange(ny)), -1) - (0.5 if shifted else 0.0)
            return g.constant(np.broadcast_to(cells, (1, na, ny, nx, 2)), scope)
        pairs = self._meshgrid(str(ny), str(nx))
        grid = g.op("Cast", [g.expand(pairs, g.shape([1, na, ny, nx, 2], scope), scope)], scope, to=g.elem_type)
        return g.op("Sub", [grid, g.constant(0.5, scope)], scope) if shifted else grid

    def _meshgrid(self, ny: str, nx: str) -> str:
        """Write torch.stack((xv, yv), 2) of torch.meshgrid(arange(ny), arange(nx)), int64 (ny, nx, 2)."""
        g, scope = self.graph, self.scope
        shape = g.shape([ny, nx], scope)
        y = g.op("Reshape", [g.arange(ny, scope), g.constant([-1, 1], scope)], scope)
        x = g.op("Reshape", [g.arange(nx, scope), g.constant([1, -1], scope)], scope)
        planes = [g.unsqueeze(g.op("Expand", [axis, shape], scope), 2, scope) for axis in (x, y)]
        return g.op("Concat", planes, scope, axis=2)

    def _anchor_grid(self, anchors: Anchors, ny: Dim, nx: Dim) -> str:
        g, na = self.graph, self.plan.na
        values = np.array(anchors, np.float32).reshape(1, na, 1, 1, 2)
        if g.simplified and isinstance(ny, int) and isinstance(nx, int):
            return g.constant(np.broadcast_to(values, (1, na, ny, nx, 2)), self.scope)
        weight = g.initializer(g.new_tensor("onnx::Expand"), values)
        return g.expand(weight, g.shape([1, na, ny, nx, 2], self.scope), self.scope)

    # YOLOX's rows

    def yolox_rows(self, maps: list[LevelMaps], *, decode: bool) -> Output:
        """Write (B, N, 5+nc): flattened, joined, permuted, and decoded where decode is set."""
        g, scope = self.graph, self.scope
        flat = []
        for level in maps:
            level.raw = [self.fuse(level)]
            flat.append(self._flatten(level.raw[0], self.plan.row, level.stride))
        p = g.op("Transpose", [g.op("Concat", flat, scope, axis=2)], scope, perm=[0, 2, 1])
        if decode:
            grid, strides = self._grid_of_rows(maps, center=0.0)
            p = self._decode_yolox(p, grid, strides, self._rows(maps))
        return Output(p, [self._declared_batch, self._rows(maps), self.plan.row])

    def _flatten(self, x: str, channels: int, stride: int) -> str:
        """Write x.flatten(2)."""
        g = self.graph
        ny, nx = self._cells(x, stride) if not self.free_size else (-1, 1)
        batch = self._batch(x)
        cells = ny * nx if isinstance(ny, int) and isinstance(nx, int) else -1
        return g.op("Reshape", [x, g.shape([batch, channels, cells], self.scope)], self.scope)

    def _grid_of_rows(self, maps: list[LevelMaps], *, center: float) -> tuple[str, str]:
        """Write grid (1, N, 2) in cells and strides (1, N, 1) of all levels' rows."""
        g, scope = self.graph, self.scope
        if not self.free_size:
            grids, strides = [], []
            for level in maps:
                ny, nx = self.imgsz[0] // level.stride, self.imgsz[1] // level.stride
                grids.append(np.stack(np.meshgrid(np.arange(nx), np.arange(ny)), -1).reshape(1, -1, 2) + center)
                strides.append(np.full((1, ny * nx, 1), float(level.stride)))
            return g.constant(np.concatenate(grids, 1), scope), g.constant(np.concatenate(strides, 1), scope)
        grid_names, stride_names = [], []
        for level in maps:
            source = level.raw[0]
            ny_name, nx_name = g.dim(source, 2, scope), g.dim(source, 3, scope)
            pairs = self._meshgrid(ny_name, nx_name)
            grid = g.op("Reshape", [pairs, g.constant([1, -1, 2], scope)], scope)
            grid = g.op("Cast", [grid], scope, to=g.elem_type)
            if center:
                grid = g.op("Add", [grid, g.constant(center, scope)], scope)
            grid_names.append(grid)
            count = g.op("Mul", [ny_name, nx_name], scope)
            one = g.initializer(g.new_tensor("onnx::Expand"), np.full((1, 1, 1), float(level.stride)))
            stride_names.append(g.expand(one, g.shape([1, count, 1], scope), scope))
        grid = g.op("Concat", grid_names, scope, axis=1)
        return grid, g.op("Concat", stride_names, scope, axis=1)

    def _decode_yolox(self, p: str, grid: str, strides: str, rows: Dim) -> str:
        g, scope = self.graph, self.scope

        def xy(s: str) -> str:
            return g.op("Mul", [g.op("Add", [s, grid], scope), strides], scope)

        def wh(s: str) -> str:
            return g.op("Mul", [g.op("Exp", [s], scope), strides], scope)

        if self.flavor == "in-place":
            count = rows if isinstance(rows, int) else g.dim(p, 1, scope)
            dims: list[Dim] = [self._batch(p), count, self.plan.row]
            p = g.assign(p, dims, 0, 2, xy(g.slice(p, 2, 0, 2, scope=scope)), scope)
            return g.assign(p, dims, 2, 4, wh(g.slice(p, 2, 2, 4, scope=scope)), scope)
        first, second = (g.slice(p, 2, start, start + 2, scope=scope) for start in (0, 2))
        return g.op("Concat", [xy(first), wh(second), g.slice(p, 2, 4, scope=scope)], scope, axis=-1)

    # YOLOv8's columns

    def columns(self, maps: list[LevelMaps]) -> Output:
        """Write (B, 4+nc, N) as Ultralytics exports YOLOv8: bins to distances, distances to boxes."""
        g, scope, classes = self.graph, self.scope, self.plan.classes
        bins = 4 * REG_MAX
        flat = []
        for level in maps:
            level.raw = [self.fuse(level)]
            flat.append(self._flatten(level.raw[0], bins + classes, level.stride))
        box, labels = g.split(g.op("Concat", flat, scope, axis=2), [bins, classes], 1, scope)
        dfl = f"{scope}/dfl"
        shape = g.shape([self._batch(box), 4, REG_MAX, -1], dfl)
        box = g.op("Transpose", [g.op("Reshape", [box, shape], dfl)], dfl, perm=[0, 3, 1, 2])
        box = g.op("Transpose", [g.op("Softmax", [box], dfl, axis=3)], dfl, perm=[0, 3, 2, 1])
        ramp = g.initializer(f"{scope[1:]}.dfl.conv.weight", np.arange(REG_MAX, dtype=np.float32).reshape(1, -1, 1, 1))
        box = g.op(
            "Conv",
            [box, ramp],
            f"{dfl}/conv",
            dilations=[1, 1],
            group=1,
            kernel_shape=[1, 1],
            pads=[0] * 4,
            strides=[1, 1],
        )
        distances = g.op("Reshape", [box, g.shape([self._batch(box), 4, -1], dfl)], dfl)
        grid, strides = self._grid_of_rows(maps, center=0.5)
        grid, strides = (g.op("Transpose", [t], scope, perm=[0, 2, 1]) for t in (grid, strides))
        low = g.op("Sub", [grid, g.slice(distances, 1, 0, 2, scope=scope)], scope)
        high = g.op("Add", [grid, g.slice(distances, 1, 2, 4, scope=scope)], scope)
        middle = g.op("Div", [g.op("Add", [low, high], scope), g.constant(2.0, scope)], scope)
        boxes = g.op("Concat", [middle, g.op("Sub", [high, low], scope)], scope, axis=1)
        boxes = g.op("Mul", [boxes, strides], scope)
        name = g.op("Concat", [boxes, g.op("Sigmoid", [labels], scope)], scope, axis=1)
        return Output(name, [self._declared_batch, 4 + classes, self._rows(maps)])
