"""Anchors that fit the objects of a data set: YOLOv5's check, and its search where the check fails."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training.dataset import Pictures
from training.loss import Gains

ENOUGH = 0.98  # best possible recall from which anchors are kept
ROUNDS = 30  # of k-means
GENERATIONS = 1000  # of changes at random, each kept where it fits better


@dataclass(frozen=True)
class AnchorFit:
    """How anchors fit objects: the share that an anchor answers for, and the anchors that answer for one on average."""

    recall: float
    anchors: float


def object_sizes(pictures: Pictures) -> Tensor:
    """Returns width and height (T, 2) in pixels of the input of every object."""
    return torch.cat(pictures.objects)[:, 3:5] * pictures.inputs.shape[-1]


def _closeness(sizes: Tensor, anchors: Tensor) -> Tensor:
    """Returns 1 / the ratio (T, A) by which each object and anchor differ, in the side where they differ most."""
    ratio = sizes[:, None] / anchors
    return torch.minimum(ratio, 1 / ratio).amin(2)


def fit(sizes: Tensor, anchors: Tensor, ratio: float = Gains.ratio) -> AnchorFit:
    """Returns how anchors (A, 2) fit objects of sizes (T, 2), where an anchor answers for up to ratio times its own."""
    near = _closeness(sizes, anchors) > 1 / ratio
    return AnchorFit(float(near.any(1).float().mean()), float(near.float().sum(1).mean()))


def search(sizes: Tensor, count: int, random: torch.Generator, ratio: float = Gains.ratio) -> Tensor:
    """Returns count anchors (count, 2), smallest first: k-means of the sizes, then changes at random that fit better.

    Raises ValueError where there are fewer objects than anchors.
    """
    sizes = sizes[(sizes >= 2).any(1)]
    if len(sizes) < count:
        raise ValueError(f"{len(sizes)} objects of at least 2 pixels are too few for {count} anchors")
    spread = sizes.std(0)
    anchors = _k_means(sizes / spread, count, random) * spread

    def fitness(candidates: Tensor) -> float:
        best = _closeness(sizes, candidates).amax(1)
        return float((best * (best > 1 / ratio)).mean())

    best = fitness(anchors)
    for _ in range(GENERATIONS):
        which = torch.rand(anchors.shape, generator=random) < 0.9
        change = which * torch.rand(1, generator=random) * torch.randn(anchors.shape, generator=random) * 0.1
        changed = (anchors * (1 + change).clamp(0.3, 3)).clamp(min=2)
        if (found := fitness(changed)) > best:
            anchors, best = changed, found
    return anchors[anchors.prod(1).argsort()]


def _k_means(points: Tensor, count: int, random: torch.Generator) -> Tensor:
    centres = points[torch.randperm(len(points), generator=random)[:count]]
    for _ in range(ROUNDS):
        nearest = torch.cdist(points, centres).argmin(1)
        centres = torch.stack(
            [points[nearest == k].mean(0) if (nearest == k).any() else centre for k, centre in enumerate(centres)]
        )
    return centres


def check(pictures: Pictures, anchors: tuple, seed: int = 0) -> tuple[tuple, str]:
    """Returns the anchors to train with, level by level as given, and a line that says how they fit.

    They are the ones given where those fit as YOLOv5 wants it or no better
    ones are found.
    """
    sizes = object_sizes(pictures)
    levels, na = len(anchors), len(anchors[0])
    flat = torch.tensor(anchors, dtype=torch.float32).view(-1, 2)
    if not len(sizes):
        return anchors, "no objects to fit anchors to"
    was = fit(sizes, flat)
    line = f"{was.anchors:.2f} anchors an object, best possible recall {was.recall:.4f}"
    if was.recall > ENOUGH:
        return anchors, line
    found = search(sizes, levels * na, torch.Generator().manual_seed(seed))
    now = fit(sizes, found)
    if now.recall <= was.recall:
        return anchors, f"{line}; none better were found"
    rounded = tuple(tuple((round(w, 1), round(h, 1)) for w, h in level) for level in found.view(levels, na, 2).tolist())
    return rounded, f"{line}; new ones have {now.anchors:.2f} and {now.recall:.4f}: {rounded}"
