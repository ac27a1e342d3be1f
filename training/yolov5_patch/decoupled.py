"""Decoupled heads for YOLOv5. This file is models/decoupled.py of a checkout and needs nothing else of trtdet.

models/yolo.py defines, after its own Detect, `class DecoupledDetect(Decoupled, Detect)`,
and a model's YAML then ends in one of

    [[17, 20, 23], 1, DecoupledDetect, [nc, anchors, decoupled-base, 256, fused]]
    [[17, 20, 23], 1, DecoupledDetect, [nc, anchors, decoupled, None, split]]

and so on: kind, width of the branches (None for each level's own), layout.
Forward, loss and export are Detect's: a level's branches give one map
(B, na*(5+nc), ny, nx), which Detect views as (B, na, 5+nc, ny, nx). In layout
fused it is cat(box, conf, labels) as it stands, so anchor a owns channels
a*(5+nc) to (a+1)*(5+nc)-1 of the concatenation; in layout split it holds each
anchor's own box, conf and labels, in that order.
"""

# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .common import Conv

KINDS = ("decoupled-base", "decoupled")
LAYOUTS = ("fused", "split")


class Branches(nn.Module):
    """One level of a head: a 1x1 base convolution or none, then one 3x3 branch for labels, one for box and conf.

    The convolutions are YOLOv5's own, so that fuse() folds their batch norms
    and the YAML's `activation` is theirs too.
    """

    def __init__(self, inputs: int, hidden: int, na: int, nc: int, base: bool, layout: str):
        super().__init__()
        self.na = na
        self.nc = nc
        self.layout = layout
        self.base = Conv(inputs, hidden, 1) if base else nn.Identity()
        self.reg = Conv(hidden, hidden, 3)
        self.cls = Conv(hidden, hidden, 3)
        self.box = nn.Conv2d(hidden, na * 4, 1)
        self.conf = nn.Conv2d(hidden, na, 1)
        self.labels = nn.Conv2d(hidden, na * nc, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.base(x)
        reg = self.reg(x)
        parts = [self.box(reg), self.conf(reg), self.labels(self.cls(x))]
        if self.layout == "fused":
            return torch.cat(parts, 1)
        batch, _, ny, nx = x.shape
        by_anchor = torch.cat([part.view(batch, self.na, -1, ny, nx) for part in parts], 2)
        return by_anchor.view(batch, self.na * (5 + self.nc), ny, nx)

    @torch.no_grad()
    def add_biases(self, table: Tensor) -> None:
        """Adds a number to each prediction, (na, 5+nc), by what the channels mean in the head's layout."""
        widths = [4, 1, self.nc]
        if self.layout == "fused":
            parts = table.reshape(-1).split([self.na * n for n in widths])
        else:
            parts = [part.reshape(-1) for part in table.split(widths, 1)]
        for i, conv in enumerate((self.box, self.conf, self.labels)):
            conv.bias += parts[i].to(conv.bias)


class Decoupled:
    """What makes a decoupled head of YOLOv5's Detect, which has to be the next base class."""

    def __init__(
        self,
        nc: int = 80,
        anchors: tuple | list = (),
        kind: str = "decoupled-base",
        hidden: int | None = 256,
        layout: str = "fused",
        ch: tuple | list = (),
        inplace: bool = True,
    ):
        if kind not in KINDS or layout not in LAYOUTS:
            raise ValueError(
                f"DecoupledDetect is given {kind!r}, {hidden!r}, {layout!r}; want [nc, anchors, kind, hidden, layout],"
                f" kind one of {', '.join(KINDS)}, hidden a width or None, layout one of {', '.join(LAYOUTS)}"
            )
        super().__init__(nc, anchors, (), inplace)
        base = kind == "decoupled-base"
        self.kind = kind
        self.layout = layout
        self.m = nn.ModuleList(
            Branches(x, hidden if base and hidden else x, self.na, self.nc, base, layout) for x in ch
        )

    def add_first_biases(self, cf: Tensor | None = None) -> None:
        """Prepares conf and labels of a fresh head as YOLOv5 does.

        That is 8 objects in a picture of 640 pixels and 0.6 of a label spread over
        all classes; cf, where it is given, is how often each class occurs.
        """
        for i, branches in enumerate(self.m):
            stride = float(self.stride[i])
            table = torch.zeros(self.na, 5 + self.nc)
            table[:, 4] = math.log(8 / (640 / stride) ** 2)
            table[:, 5:] = math.log(0.6 / (self.nc - 0.99999)) if cf is None else (cf / cf.sum()).log()
            branches.add_biases(table)
