"""The changes training makes to its pictures, so that none is seen twice the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.dataset import PAD, Pictures

# Takes pictures, the indices of a batch and the dice; gives inputs (B, 3, S, S) in 0..1, on the pictures' device, and
# objects (T, 6: picture in the batch, class, and a box as shares of the input).
Augment = Callable[[Pictures, list[int], torch.Generator], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Mosaic:
    """YOLOv5's augmentation with the values of its hyp.scratch-low: four pictures in one, scaled, moved, recoloured.

    mosaic and mirror are how often that is done; scale and translate vary by
    that share of one and of the side; hue, saturation and value are multiplied
    by 1 plus or minus theirs.
    """

    mosaic: float = 1.0
    scale: float = 0.5
    translate: float = 0.1
    mirror: float = 0.5
    hue: float = 0.015
    saturation: float = 0.7
    value: float = 0.4

    def __call__(self, pictures: Pictures, indices: list[int], random: torch.Generator) -> tuple[Tensor, Tensor]:
        size = pictures.inputs.shape[-1]
        device = pictures.inputs.device
        inputs = torch.empty(len(indices), 3, size, size, device=device)
        canvas = torch.empty(3, 2 * size, 2 * size, device=device)  # one for all: memory that is at hand already
        objects = []
        scales = 1 + self.scale * _either_way(len(indices), random)
        centres = (0.5 + self.translate * _either_way((len(indices), 2), random)) * size
        joined = torch.rand(len(indices), generator=random) < self.mosaic
        for i, index in enumerate(indices):
            others = torch.randint(len(pictures), (3,), generator=random).tolist()
            order = torch.randperm(4, generator=random).tolist()
            left, top = torch.randint(size // 2, 3 * size // 2, (2,), generator=random).tolist()
            places = [(left - size, top - size), (left, top - size), (left - size, top), (left, top)]
            tiles = [[index, *others][k] for k in order]
            if not joined[i]:
                places, tiles = [(size // 2, size // 2)], [index]
            boxes = _lay(canvas, pictures, tiles, places)
            inputs[i] = warp(canvas, float(scales[i]), centres[i], size)
            boxes = move(boxes, float(scales[i]), centres[i], size)
            objects.append(functional.pad(boxes, (1, 0), value=float(i)))
        found = torch.cat(objects)
        found[:, 2:] = torch.cat(((found[:, 2:4] + found[:, 4:6]) / 2, found[:, 4:6] - found[:, 2:4]), 1) / size
        gains = 1 + _either_way((len(indices), 3), random) * torch.tensor((self.hue, self.saturation, self.value))
        return mirror(recolour(inputs, gains), found, torch.rand(len(indices), generator=random) < self.mirror)


@dataclass(frozen=True)
class Light:
    """Pictures as they are, half of them mirrored, each in a light and colour of its own; a batch has one of the sizes.

    What the net of models/emoji was trained with.
    """

    sizes: tuple[int, ...]

    def __call__(self, pictures: Pictures, indices: list[int], random: torch.Generator) -> tuple[Tensor, Tensor]:
        inputs, objects = pictures.batch(indices)
        inputs, objects = mirror(inputs, objects, torch.rand(len(indices), generator=random) < 0.5)
        gains = _either_way((len(indices), 3), random)
        inputs = (_turn_colours(gains).to(inputs.device) @ inputs.flatten(2)).view_as(inputs).clamp_(0, 1)
        size = self.sizes[int(torch.randint(len(self.sizes), (1,), generator=random))]
        if size != inputs.shape[-1]:
            inputs = functional.interpolate(inputs, (size, size), mode="bilinear", align_corners=False)
        return inputs, objects


def _either_way(shape: int | tuple[int, ...], random: torch.Generator) -> Tensor:
    """Returns numbers spread evenly over -1 to 1."""
    return torch.rand(shape, generator=random) * 2 - 1


def _lay(canvas: Tensor, pictures: Pictures, tiles: list[int], places: list[tuple[int, int]]) -> Tensor:
    """Lays pictures at places (left, top) of a grey canvas (3, 2S, 2S) of levels from 0 to 255.

    Returns their objects (n, 5: class and corners).
    """
    size = pictures.inputs.shape[-1]
    canvas.fill_(PAD)
    objects = []
    for tile, (left, top) in zip(tiles, places, strict=True):
        x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + size, 2 * size), min(top + size, 2 * size)
        canvas[:, y1:y2, x1:x2] = pictures.inputs[tile][:, y1 - top : y2 - top, x1 - left : x2 - left]
        boxes = pictures.objects[tile].clone()
        middle, half = boxes[:, 1:3] * size + torch.tensor((left, top)), boxes[:, 3:5] * size / 2
        boxes[:, 1:] = torch.cat((middle - half, middle + half), 1).clamp(0, 2 * size)
        objects.append(boxes)
    return torch.cat(objects)


def warp(canvas: Tensor, scale: float, centre: Tensor, size: int) -> Tensor:
    """Returns a canvas (3, H, W) of levels as a picture (3, S, S) in 0..1, scaled about its middle.

    The middle comes to centre (2). Linear between pixels, grey outside, as
    OpenCV's warpAffine has it.
    """
    _, height, width = canvas.shape
    x, y = (
        ((torch.arange(size, device=canvas.device) - c) / scale + side / 2) * 2 / (side - 1) - 1
        for c, side in zip(centre.tolist(), (width, height), strict=True)
    )
    grid = torch.stack((x.expand(size, size), y[:, None].expand(size, size)), -1)
    # the padding of grid_sample is zero, so grey is made zero
    return (functional.grid_sample(canvas[None] - PAD, grid[None], align_corners=True)[0] + PAD) / 255


def move(objects: Tensor, scale: float, centre: Tensor, size: int) -> Tensor:
    """Returns the objects (n, 5: class and corners on a canvas of twice the size) that `warp` leaves enough of.

    YOLOv5's rule: more than 2 pixels a side, a tenth of the area and no more than 100 times as long as wide.
    """
    corners = ((objects[:, 1:] - size) * scale + centre.repeat(2)).clamp(0, size)
    before = (objects[:, 3:5] - objects[:, 1:3]) * scale
    after = corners[:, 2:] - corners[:, :2]
    longest = after.amax(1) / (after.amin(1) + 1e-16)
    kept = (after > 2).all(1) & (after.prod(1) > 0.1 * (before.prod(1) + 1e-16)) & (longest < 100)
    return torch.cat((objects[:, :1], corners), 1)[kept]


def mirror(inputs: Tensor, objects: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
    """Turns left and right in the pictures that which (B) says; neither argument is changed."""
    inputs = torch.where(which.view(-1, 1, 1, 1).to(inputs.device), inputs.flip(3), inputs)
    objects = objects.clone()
    turned = which[objects[:, 0].long()]
    objects[turned, 2] = 1 - objects[turned, 2]
    return inputs, objects


def recolour(inputs: Tensor, gains: Tensor) -> Tensor:
    """Returns pictures (B, 3, H, W) in 0..1 whose hue, saturation and value are multiplied by gains (B, 3).

    Hue starts over at its end, the others stop there.
    """
    h_gain, s_gain, v_gain = gains.to(inputs.device).t().reshape(3, -1, 1, 1)
    r, g, b = inputs.unbind(1)
    value, least = inputs.amax(1), inputs.amin(1)
    chroma = value - least
    some = chroma.clamp(min=1e-6)
    # in sixths of the circle, red at 0
    hue = torch.where(value == r, ((g - b) / some) % 6, torch.where(value == g, (b - r) / some + 2, (r - g) / some + 4))
    hue = (hue * h_gain) % 6
    chroma = ((chroma / value.clamp(min=1e-6)) * s_gain).clamp(max=1)
    value = (value * v_gain).clamp(max=1)
    chroma = chroma * value
    channels = []
    for start in (5, 3, 1):
        k = (hue + start) % 6
        channels.append(value - chroma * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.stack(channels, 1)


# RGB to luma and two colour differences (NTSC's YIQ), where a change of hue is a turn of the last two.
_YIQ = torch.tensor(((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)))


def _turn_colours(gains: Tensor) -> Tensor:
    """Returns matrices (B, 3, 3) on RGB that change hue, saturation and brightness by gains (B, 3) in -1..1."""
    hue, saturation, value = gains[:, 0] * 0.1, 1 + gains[:, 1] * 0.4, 1 + gains[:, 2] * 0.3
    change = torch.zeros(len(gains), 3, 3)
    change[:, 0, 0] = 1
    change[:, 1, 1] = change[:, 2, 2] = saturation * hue.cos()
    change[:, 1, 2], change[:, 2, 1] = -saturation * hue.sin(), saturation * hue.sin()
    return torch.linalg.inv(_YIQ) @ change @ _YIQ * value.view(-1, 1, 1)
