"""YOLOv5 v6 by its own numbers: backbone, PAN neck and one of the heads.

A size is two numbers, depth and width, that scale the repeats of C3 and the
channels of everything.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from training.heads import BaseConv, make_head

# Depth and width of YOLOv5's sizes; `demo` is the one of models/emoji, `pico` that of models/heads.
SIZES: dict[str, tuple[float, float]] = {
    "pico": (0.33, 0.10),
    "demo": (0.33, 0.125),
    "n": (0.33, 0.25),
    "s": (0.33, 0.50),
    "m": (0.67, 0.75),
    "l": (1.00, 1.00),
    "x": (1.33, 1.25),
}

STRIDES = [8, 16, 32]

# YOLOv5's anchors for COCO at 640 pixels: level, anchor, width and height.
COCO_ANCHORS = [
    [(10.0, 13.0), (16.0, 30.0), (33.0, 23.0)],
    [(30.0, 61.0), (62.0, 45.0), (59.0, 119.0)],
    [(116.0, 90.0), (156.0, 198.0), (373.0, 326.0)],
]


@dataclass(frozen=True)
class Config:
    """All that decides the shape of a network; stored in checkpoints."""

    classes: int
    size: str = "s"
    head: str = "decoupled-base"
    hidden: int | None = 256  # channels of the branches of decoupled-base and yolox, None for each level's own
    act: str = "silu"
    anchors: tuple = tuple(tuple(level) for level in COCO_ANCHORS)
    layout: str = "fused"  # how a decoupled head reads its channels: fused or split

    def wide(self, channels: int) -> int:
        """Returns how many channels the network's width makes of channels: a multiple of 8."""
        return math.ceil(channels * SIZES[self.size][1] / 8) * 8

    def as_dict(self) -> dict:
        """Returns the fields as plain values, for a checkpoint."""
        return asdict(self)


class Conv(BaseConv):
    """YOLOv5's convolution; the stem's 6x6 has padding 2, which same padding gives as well."""


class Bottleneck(nn.Module):
    """1x1 and 3x3 convolution, with the input added where asked for."""

    def __init__(self, channels: int, shortcut: bool, act: str):
        super().__init__()
        self.cv1 = Conv(channels, channels, 1, act=act)
        self.cv2 = Conv(channels, channels, 3, act=act)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.cv2(self.cv1(x))
        return x + y if self.shortcut else y


class C3(nn.Module):
    """Two 1x1 ways, one of them through bottlenecks, joined by a third 1x1."""

    def __init__(self, inputs: int, outputs: int, repeats: int, shortcut: bool, act: str):
        super().__init__()
        half = outputs // 2
        self.cv1 = Conv(inputs, half, 1, act=act)
        self.cv2 = Conv(inputs, half, 1, act=act)
        self.cv3 = Conv(2 * half, outputs, 1, act=act)
        self.m = nn.Sequential(*(Bottleneck(half, shortcut, act) for _ in range(repeats)))

    def forward(self, x: Tensor) -> Tensor:
        return self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), 1))


class SPPF(nn.Module):
    """Three 5x5 poolings in a row, all of them kept."""

    def __init__(self, inputs: int, outputs: int, act: str):
        super().__init__()
        half = inputs // 2
        self.cv1 = Conv(inputs, half, 1, act=act)
        self.cv2 = Conv(4 * half, outputs, 1, act=act)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        pooled = [self.cv1(x)]
        for _ in range(3):
            pooled.append(self.pool(pooled[-1]))
        return self.cv2(torch.cat(pooled, 1))


class YOLOv5(nn.Module):
    """Input (B, 3, H, W), RGB in 0..1, H and W multiples of 32; output as training.heads.Detect has it."""

    def __init__(self, config: Config):
        super().__init__()
        if config.size not in SIZES:
            raise ValueError(f"size {config.size!r} is none of {', '.join(SIZES)}")
        self.config = config
        depth, _ = SIZES[config.size]
        act = config.act

        def deep(repeats: int) -> int:
            return max(round(repeats * depth), 1)

        c1, c2, c3, c4, c5 = (config.wide(c) for c in (64, 128, 256, 512, 1024))
        self.stem = Conv(3, c1, 6, 2, act)
        self.stage2 = nn.Sequential(Conv(c1, c2, 3, 2, act), C3(c2, c2, deep(3), True, act))
        self.stage3 = nn.Sequential(Conv(c2, c3, 3, 2, act), C3(c3, c3, deep(6), True, act))
        self.stage4 = nn.Sequential(Conv(c3, c4, 3, 2, act), C3(c4, c4, deep(9), True, act))
        self.stage5 = nn.Sequential(Conv(c4, c5, 3, 2, act), C3(c5, c5, deep(3), True, act), SPPF(c5, c5, act))
        self.up = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.lateral5 = Conv(c5, c4, 1, act=act)
        self.top4 = C3(2 * c4, c4, deep(3), False, act)
        self.lateral4 = Conv(c4, c3, 1, act=act)
        self.out3 = C3(2 * c3, c3, deep(3), False, act)
        self.down3 = Conv(c3, c3, 3, 2, act)
        self.out4 = C3(2 * c3, c4, deep(3), False, act)
        self.down4 = Conv(c4, c4, 3, 2, act)
        self.out5 = C3(2 * c4, c5, deep(3), False, act)
        anchors = [list(level) for level in config.anchors]
        self.head = make_head(
            config.head, config.classes, anchors, [c3, c4, c5], STRIDES, config.hidden, act, layout=config.layout
        )

    def features(self, x: Tensor) -> list[Tensor]:
        """Returns the neck's three maps, at strides 8, 16 and 32."""
        p3 = self.stage3(self.stage2(self.stem(x)))
        p4 = self.stage4(p3)
        p5 = self.lateral5(self.stage5(p4))
        t4 = self.lateral4(self.top4(torch.cat((self.up(p5), p4), 1)))
        o3 = self.out3(torch.cat((self.up(t4), p3), 1))
        o4 = self.out4(torch.cat((self.down3(o3), t4), 1))
        o5 = self.out5(torch.cat((self.down4(o4), p5), 1))
        return [o3, o4, o5]

    def forward(self, x: Tensor) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        return self.head(self.features(x))

    def raw_parts(self, x: Tensor) -> list[list[Tensor]]:
        """Returns for each level the maps of its convolutions: one, or box, conf and labels."""
        return [self.head.parts(level, feature) for level, feature in enumerate(self.features(x))]

    def raw_maps(self, x: Tensor) -> list[Tensor]:
        """Returns one map (B, na*(5+nc), ny, nx) per level."""
        return self.head.maps(self.features(x))

    def fuse(self) -> YOLOv5:
        """Folds every batch norm into its convolution, in place, and returns the network."""
        for module in self.modules():
            if isinstance(module, BaseConv):
                module.fuseforward()
        return self
