"""Decoding in numpy, float64: what the nets' own decoded outputs are held to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from heads import REG_MAX
from numpy.typing import NDArray

Array = NDArray[np.floating]


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def cells(ny: int, nx: int) -> Array:
    """Return the grid (ny, nx, 2): x, then y, of every cell."""
    return np.stack(np.meshgrid(np.arange(nx), np.arange(ny)), -1).astype(np.float64)


def five_d(maps: Sequence[Array], na: int) -> Array:
    """Return one level's raw maps as (B, na, ny, nx, 5+nc).

    One map (B, na*no, ny, nx) is fused and taken in channel order; three are a
    split head's box a*4+k, conf a and labels a*nc+k; one of five axes is that already.
    """
    if maps[0].ndim == 5:
        return maps[0]
    views = [m.reshape(len(m), na, -1, *m.shape[2:]) for m in maps]
    return np.concatenate(views, 2).transpose(0, 1, 3, 4, 2)


def yolov5(maps: Sequence[Array], stride: int, anchors: Sequence[Sequence[float]]) -> Array:
    """Decode one level to rows (B, na*ny*nx, 5+nc): xy = (2s - 0.5 + grid) * stride, wh = (2s)^2 * anchor."""
    y = sigmoid(five_d(maps, len(anchors)))
    y[..., 0:2] = (2 * y[..., 0:2] - 0.5 + cells(*y.shape[2:4])) * stride
    y[..., 2:4] = (2 * y[..., 2:4]) ** 2 * np.array(anchors, np.float64)[:, None, None]
    return y.reshape(len(y), -1, y.shape[-1])


def yolox(maps: Sequence[Array], stride: int, *, sigmoid_applied: bool, decode: bool = True) -> Array:
    """Decode one level to rows (B, ny*nx, 5+nc): xy = (p + grid) * stride, wh = exp(p) * stride."""
    p = five_d(maps, 1).astype(np.float64)
    if not sigmoid_applied:
        p[..., 4:] = sigmoid(p[..., 4:])
    if decode:
        p[..., 0:2] = (p[..., 0:2] + cells(*p.shape[2:4])) * stride
        p[..., 2:4] = np.exp(p[..., 2:4]) * stride
    return p.reshape(len(p), -1, p.shape[-1])


def yolov8(raw: Array, stride: int) -> Array:
    """Decode one level (B, 64+nc, ny, nx) to columns (B, 4+nc, ny*nx)."""
    p = np.asarray(raw, np.float64)
    batch, _, ny, nx = p.shape
    bins = np.exp(p[:, : 4 * REG_MAX].reshape(batch, 4, REG_MAX, -1))
    distances = (bins * np.arange(REG_MAX)[:, None]).sum(2) / bins.sum(2)
    grid = cells(ny, nx).reshape(-1, 2).T + 0.5
    low, high = grid - distances[:, :2], grid + distances[:, 2:]
    labels = sigmoid(p[:, 4 * REG_MAX :].reshape(batch, -1, ny * nx))
    return np.concatenate([(low + high) / 2 * stride, (high - low) * stride, labels], 1)


def scores(rows: Array) -> Array:
    """Return conf times the best label of rows (B, N, 5+nc)."""
    return np.asarray(rows[..., 4] * rows[..., 5:].max(-1))
