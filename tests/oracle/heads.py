"""Decodes a network's outputs, written from the formulas, one layout after the other.

A head is the JSON of decode.Head. The result is rows (N, 5 + nc): center x, center y, width,
height in pixels of the input, confidence, labels; in the order level, anchor, y, x.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def sigmoid(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return (1 / (1 + np.exp(-x.astype(np.float64)))).astype(np.float32)


def level_rows(head: dict[str, Any], level: dict[str, Any], outputs: dict[str, np.ndarray]) -> np.ndarray:
    """One level's raw maps as (na, ny, nx, 5 + nc)."""
    nc, na = head["classes"], max(len(level.get("anchors") or []), 1)
    maps = [outputs[name] for name in level["outputs"]]
    if head["layout"] == "5d":
        return maps[0]
    ny, nx = maps[0].shape[-2:]
    if head["layout"] == "fused":
        return maps[0].reshape(na, 5 + nc, ny, nx).transpose(0, 2, 3, 1)
    if len(maps) == 1:  # split, concatenated
        maps = np.split(maps[0], [na * 4, na * 5])
    box, conf, labels = (m.reshape(na, -1, ny, nx).transpose(0, 2, 3, 1) for m in maps)
    return np.concatenate((box, conf, labels), -1)


def decode_level(head: dict[str, Any], level: dict[str, Any], p: np.ndarray) -> np.ndarray:
    """Raw predictions (na, ny, nx, 5 + nc) to rows in pixels."""
    ny, nx = p.shape[1:3]
    stride = np.float32(level["stride"])
    y, x = np.mgrid[:ny, :nx].astype(np.float32)
    grid = np.stack((x, y), -1)[None]
    if head["family"] == "yolox":
        xy = (p[..., :2] + grid) * stride
        with np.errstate(over="ignore"):
            wh = np.exp(p[..., 2:4]) * stride
        rest = p[..., 4:] if head["sigmoid_applied"] else sigmoid(p[..., 4:])
    else:
        s = p if head["sigmoid_applied"] else sigmoid(p)
        anchors = np.array(level["anchors"], np.float32)[:, None, None]
        xy = (s[..., :2] * 2 + (grid - np.float32(0.5))) * stride
        wh = (s[..., 2:4] * 2) ** 2 * anchors
        rest = s[..., 4:]
    return np.concatenate((xy, wh, rest), -1).reshape(-1, p.shape[-1])


def decode(head: dict[str, Any], outputs: dict[str, np.ndarray], input_w: int, input_h: int) -> np.ndarray:
    """Rows of one picture; outputs are its part of the batch. YOLOv8's confidence is 1."""
    first = outputs[head["levels"][0]["outputs"][0]]
    if head["layout"] == "rows":
        return first
    if head["layout"] == "columns":
        rows = first.T
        return np.concatenate((rows[:, :4], np.ones_like(rows[:, :1]), rows[:, 4:]), 1)
    rows = []
    at = 0
    for level in head["levels"]:
        if head["layout"] == "rows-grid":
            ny, nx = input_h // level["stride"], input_w // level["stride"]
            p = first[at : at + ny * nx].reshape(1, ny, nx, -1)
            at += ny * nx
        else:
            p = level_rows(head, level, outputs)
        rows.append(decode_level(head, level, p))
    return np.concatenate(rows)
