"""YOLOX's loss (Ge et al., 2021): each object takes the cells whose predictions suit it best.

A cell may answer for an object when its middle is within 1.5 cells of the
object's. Of those an object takes the k of least cost, where k is the sum of
its ten best IoUs (SimOTA, the simplified optimal transport assignment).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from training.heads import YOLOXHead, cells
from training.loss import iou

REACH = 1.5  # cells between the middles of a cell and of an object, in x and in y
CANDIDATES = 10  # IoUs that are summed to k
IOU_COST = 3.0  # against the cost of the label
BOX_GAIN = 5.0


class YOLOXLoss:
    """Computes the loss of a YOLOX head's training output against labelled objects."""

    def __init__(self, head: YOLOXHead):
        self.head = head

    def __call__(self, maps: list[Tensor], objects: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the loss of a batch, to go backward from, and its (box, conf, label) parts per picture.

        maps are (B, 1, ny, nx, 5+nc), conf and labels before the sigmoid;
        objects (T, 6) holds picture, class, centre x, centre y, width, height,
        the last four as shares of the input.
        """
        batch, _, ny, nx, _ = maps[0].shape
        grids = [cells(x.shape[2], x.shape[3], x).view(-1, 2) for x in maps]
        strides = torch.cat([torch.full_like(g[:, :1], s) for g, s in zip(grids, self.head.strides, strict=True)])
        rows = self.head.rows(maps)
        middles = (torch.cat(grids) + 0.5) * strides
        side = torch.tensor((nx, ny) * 2, device=objects.device) * self.head.strides[0]
        boxes = objects[:, 2:] * side
        labels = functional.one_hot(objects[:, 1].long(), self.head.classes).to(rows.dtype)

        chosen, objects_of = [], []  # cells of the whole batch that answer, and the object each answers for
        for picture in range(batch):
            own = (objects[:, 0] == picture).nonzero().view(-1)
            if len(own):
                cell, which = assign(rows[picture].detach(), middles, strides, boxes[own], labels[own])
                chosen.append(cell + picture * rows.shape[1])
                objects_of.append(own[which])
        rows = rows.reshape(-1, rows.shape[2])
        conf = torch.zeros_like(rows[:, 4])
        parts = [rows.new_zeros(()), rows.new_zeros(())]
        count = 1
        if chosen:
            cell, which = torch.cat(chosen), torch.cat(objects_of)
            count = max(len(cell), 1)
            conf[cell] = 1
            fit = iou(rows[cell, :4], boxes[which])
            wanted = labels[which] * fit.detach()[:, None]
            parts = [
                BOX_GAIN * (1 - fit.square()).sum(),
                functional.binary_cross_entropy_with_logits(rows[cell, 5:], wanted, reduction="sum"),
            ]
        empty = functional.binary_cross_entropy_with_logits(rows[:, 4], conf, reduction="sum")
        found = torch.stack((parts[0], empty, parts[1])) / count
        return found.sum() * batch, found.detach()


@torch.no_grad()
def assign(rows: Tensor, middles: Tensor, strides: Tensor, boxes: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the cells (M) of one picture that answer for objects, and the object (M) each answers for.

    rows (N, 5+nc) are decoded, conf and labels before the sigmoid; middles
    (N, 2) and strides (N, 1) are the cells'. boxes (n, 4) are centre, width,
    height in pixels, labels (n, nc) one-hot.
    """
    near = ((boxes[:, None, :2] - middles).abs() < strides * REACH).all(2)
    candidates = near.any(0).nonzero().view(-1)
    if not len(candidates):
        return candidates, candidates
    near, rows = near[:, candidates], rows[candidates]
    fit = iou(rows[None, :, :4], boxes[:, None])
    score = (rows[:, 5:].sigmoid() * rows[:, 4:5].sigmoid()).sqrt()
    shape = (len(boxes), *score.shape)
    label_cost = functional.binary_cross_entropy(
        score.expand(shape), labels[:, None].expand(shape), reduction="none"
    ).sum(2)
    cost = label_cost - IOU_COST * torch.log(fit + 1e-8) + 1e6 * ~near

    takes = torch.zeros_like(near)
    counts = fit.topk(min(CANDIDATES, len(candidates)), 1).values.sum(1).int().clamp(min=1)
    for taken, costs, count in zip(takes, cost, counts.tolist(), strict=True):
        taken[costs.topk(count, largest=False).indices] = True
    # a cell that several objects want goes to the one it costs least
    torn = takes.sum(0) > 1
    takes[:, torn] = functional.one_hot(cost[:, torn].argmin(0), len(boxes)).t().bool()
    answers = takes.any(0)
    return candidates[answers], takes[:, answers].int().argmax(0)
