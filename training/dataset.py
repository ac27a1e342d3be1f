"""Pictures with YOLO labels from a folder, as the network's input."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

PAD = 114  # grey level around a letterboxed picture


class LabelError(Exception):
    """A label file cannot be read; the message names file and line."""


@dataclass(frozen=True)
class Fit:
    """Where a picture lies in the square input: x_input = x_picture * gain + left, the same for y."""

    gain: float
    left: int
    top: int


@dataclass
class Pictures:
    """A split in memory: inputs (N, 3, S, S) uint8; objects of each, (n, 5) class and box as shares of the input."""

    names: list[str]
    inputs: Tensor
    objects: list[Tensor]
    fits: list[Fit]

    def __len__(self) -> int:
        return len(self.names)

    def on(self, device: torch.device) -> Pictures:
        """Returns the same with the inputs on a device; objects stay where they are."""
        return replace(self, inputs=self.inputs.to(device))

    def batch(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        """Returns inputs (B, 3, S, S) in 0..1 and objects (T, 6) with the batch index in front."""
        rows = [functional.pad(self.objects[i], (1, 0), value=float(b)) for b, i in enumerate(indices)]
        return self.inputs[indices].float() / 255, torch.cat(rows)


def letterbox(image: Image.Image, size: int) -> tuple[Tensor, Fit]:
    """Returns the picture in the middle of a grey square (3, size, size) uint8, and where it lies in it."""
    gain = min(size / image.width, size / image.height)
    width, height = max(1, round(image.width * gain)), max(1, round(image.height * gain))
    pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
    if (width, height) != image.size:
        # not antialiased, as OpenCV's linear interpolation is not
        pixels = functional.interpolate(pixels[None].float(), (height, width), mode="bilinear", align_corners=False)
        pixels = pixels[0].round().clamp(0, 255).byte()
    left, top = round((size - width) / 2 - 0.1), round((size - height) / 2 - 0.1)
    square = torch.full((3, size, size), PAD, dtype=torch.uint8)
    square[:, top : top + height, left : left + width] = pixels
    return square, Fit(gain, left, top)


def read_labels(path: Path) -> Tensor:
    """Returns the objects (n, 5) of a YOLO label file; a missing file has none. Raises LabelError."""
    if not path.exists():
        return torch.zeros(0, 5)
    rows = []
    for number, line in enumerate(path.read_text(encoding="ascii").splitlines(), 1):
        try:
            row = [float(word) for word in line.split()]
        except ValueError:
            raise LabelError(f"{path}, line {number}: not five numbers: {line!r}") from None
        if len(row) != 5 or not all(map(math.isfinite, row)) or min(row) < 0 or max(row[1:]) > 1 or row[0] % 1:
            raise LabelError(f"{path}, line {number}: want a class and four shares from 0 to 1: {line!r}")
        rows.append(row)
    return torch.tensor(rows).view(-1, 5)


def read_pictures(folder: Path, size: int) -> Pictures:
    """Returns all of folder/images with folder/labels, letterboxed to size. Raises LabelError."""
    paths = sorted((folder / "images").glob("*.jpg"))
    if not paths:
        raise LabelError(f"{folder / 'images'} holds no .jpg; compose some with python3 -m training.compose")
    inputs = torch.empty((len(paths), 3, size, size), dtype=torch.uint8)
    objects, fits = [], []
    for i, path in enumerate(paths):
        with Image.open(path) as image:
            inputs[i], fit = letterbox(image, size)
            shape = torch.tensor((image.width, image.height) * 2, dtype=torch.float32)
        rows = read_labels(folder / "labels" / f"{path.stem}.txt")
        rows[:, 1:] *= shape * fit.gain / size
        rows[:, 1:3] += torch.tensor((fit.left, fit.top)) / size
        objects.append(rows)
        fits.append(fit)
    return Pictures([path.name for path in paths], inputs, objects, fits)
