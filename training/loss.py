"""YOLOv5's loss: which anchors answer for an object, and what it costs where they are wrong.

Boxes by CIoU (Zheng et al., 2020, "Enhancing geometric factors"), conf by
binary cross entropy against the box's own IoU, labels by binary cross entropy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.heads import AnchorHead, Detect

# How much an object counts at strides 8, 16 and 32: fine maps have more cells, most of them empty.
BALANCE = (4.0, 1.0, 0.4)


@dataclass(frozen=True)
class Gains:
    """Weights of the three parts, and how far an object may differ from an anchor. YOLOv5's at 640, 80 classes."""

    box: float = 0.05
    conf: float = 1.0
    label: float = 0.5
    ratio: float = 4.0  # an anchor answers for objects up to this many times its width and height, or as much less

    @classmethod
    def scaled(cls, classes: int, imgsz: int) -> Gains:
        """Returns YOLOv5's gains for another number of classes and another side of the input, in pixels."""
        return cls(conf=cls.conf * (imgsz / 640) ** 2, label=cls.label * classes / 80)


@dataclass
class Matches:
    """The anchors of one level that answer for objects; M of them."""

    picture: Tensor  # (M) index in the batch
    anchor: Tensor  # (M)
    row: Tensor  # (M) of the cell
    column: Tensor  # (M)
    label: Tensor  # (M)
    box: Tensor  # (M, 4) centre relative to the cell, width, height; in cells
    shape: Tensor  # (M, 2) the anchor's width and height in cells


class DetectionLoss:
    """Computes the loss of a head's training output against labelled objects.

    Raises ValueError on a head that has no anchors to match objects with.
    """

    def __init__(self, head: Detect, gains: Gains = Gains()):
        if not isinstance(head, AnchorHead):
            raise ValueError("this loss matches objects with anchors, which a yolox head has none of; use YOLOXLoss")
        if head.anchors.shape[0] != len(BALANCE):
            raise ValueError(f"the loss is weighed for {len(BALANCE)} levels, the head has {head.anchors.shape[0]}")
        self.head = head
        self.gains = gains
        self.bce = nn.BCEWithLogitsLoss()

    def __call__(self, maps: list[Tensor], objects: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the loss of a batch, to go backward from, and its (box, conf, label) parts per picture.

        maps are (B, na, ny, nx, 5+nc); objects (T, 6) holds picture, class,
        centre x, centre y, width, height, the last four as shares of the input.
        """
        parts = torch.zeros(3, device=objects.device)
        for level, x in enumerate(maps):
            found = self.match(level, x.shape[2], x.shape[3], objects)
            wanted = torch.zeros_like(x[..., 4])
            if len(found.picture):
                rows = x[found.picture, found.anchor, found.row, found.column]
                s = rows[:, :4].sigmoid()
                box = torch.cat((s[:, :2] * 2 - 0.5, (s[:, 2:] * 2) ** 2 * found.shape), 1)
                overlap = ciou(box, found.box)
                parts[0] = parts[0] + (1 - overlap).mean()
                # where two objects share an anchor, conf follows the better fitting one
                _, na, ny, nx, _ = x.shape
                place = ((found.picture * na + found.anchor) * ny + found.row) * nx + found.column
                wanted.view(-1).scatter_reduce_(0, place, overlap.detach().clamp(0), "amax")
                if self.head.classes > 1:
                    hot = nn.functional.one_hot(found.label, self.head.classes).to(rows.dtype)
                    parts[2] = parts[2] + self.bce(rows[:, 5:], hot)
            parts[1] = parts[1] + self.bce(x[..., 4], wanted) * BALANCE[level]
        parts = parts * torch.tensor((self.gains.box, self.gains.conf, self.gains.label), device=parts.device)
        return parts.sum() * maps[0].shape[0], parts.detach()

    def match(self, level: int, ny: int, nx: int, objects: Tensor) -> Matches:
        """Returns the anchors of a level, of ny x nx cells, that answer for objects (T, 6).

        An object belongs to each anchor of a shape near its own, in the cell of
        its centre and in the two cells whose edges its centre is nearest to.
        """
        shapes = self.head.anchors[level] / self.head.strides[level]
        cells = torch.tensor((nx, ny), device=objects.device, dtype=objects.dtype)
        centre, size = objects[:, 2:4] * cells, objects[:, 4:6] * cells
        ratio = size[None] / shapes[:, None]
        near = torch.maximum(ratio, 1 / ratio).amax(2) < self.gains.ratio
        anchor, index = near.nonzero(as_tuple=True)

        c = centre[index]
        within = c % 1
        left_up = (within < 0.5) & (c > 1)
        right_down = (within > 0.5) & (c < cells - 1)
        here = torch.ones_like(left_up[:, :1])
        takes = torch.cat((here, left_up, right_down), 1)
        steps = torch.tensor(((0, 0), (-1, 0), (0, -1), (1, 0), (0, 1)), device=objects.device)
        which, step = takes.nonzero(as_tuple=True)
        anchor, index = anchor[which], index[which]
        cell = c[which].floor().long() + steps[step]
        cell = torch.minimum(cell.clamp(min=0), cells.long() - 1)
        return Matches(
            picture=objects[index, 0].long(),
            anchor=anchor,
            row=cell[:, 1],
            column=cell[:, 0],
            label=objects[index, 1].long(),
            box=torch.cat((centre[index] - cell, size[index]), 1),
            shape=shapes[anchor],
        )


def iou(a: Tensor, b: Tensor, eps: float = 1e-16) -> Tensor:
    """Returns the IoU of boxes (..., 4) given as centre x, centre y, width, height."""
    low = torch.maximum(a[..., :2] - a[..., 2:] / 2, b[..., :2] - b[..., 2:] / 2)
    high = torch.minimum(a[..., :2] + a[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2)
    shared = (high - low).clamp(0).prod(-1)
    return shared / (a[..., 2:].prod(-1) + b[..., 2:].prod(-1) - shared + eps)


def ciou(a: Tensor, b: Tensor, eps: float = 1e-7) -> Tensor:
    """Returns the complete IoU (M) of boxes (M, 4) given as centre x, centre y, width, height."""
    a_low, a_high = a[:, :2] - a[:, 2:] / 2, a[:, :2] + a[:, 2:] / 2
    b_low, b_high = b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2
    fit = iou(a, b, eps)
    hull = torch.maximum(a_high, b_high) - torch.minimum(a_low, b_low)
    apart = (a[:, :2] - b[:, :2]).square().sum(1) / (hull.square().sum(1) + eps)
    skew = (torch.atan(b[:, 2] / (b[:, 3] + eps)) - torch.atan(a[:, 2] / (a[:, 3] + eps))) * 2 / math.pi
    v = skew.square()
    with torch.no_grad():
        weight = v / (v - fit + 1 + eps)
    return fit - apart - weight * v
