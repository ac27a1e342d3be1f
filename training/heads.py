"""YOLOv5's detection heads: coupled, and decoupled with and without a base convolution.

All of them end in one map (B, na*(5+nc), ny, nx) per level. Its channels are
read through view(B, na, 5+nc, ny, nx): anchor a owns channels a*(5+nc) to
(a+1)*(5+nc)-1 of that map, whichever convolution wrote them (layout `fused`).
For a decoupled head, whose map is cat(box, conf, labels), this is what gives
the channels their meaning while it trains, so a decoder must read it the same
way and must not sort the channels by the convolution they come from.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

KINDS = ("coupled", "decoupled-base", "decoupled")
ACTIVATIONS = ("silu", "relu", "lrelu")


def activation(name: str) -> nn.Module:
    """Returns silu, relu, or leaky relu with slope 0.1. Raises ValueError on another name."""
    if name == "silu":
        return nn.SiLU(inplace=True)
    if name == "relu":
        return nn.ReLU(inplace=True)
    if name == "lrelu":
        return nn.LeakyReLU(0.1, inplace=True)
    raise ValueError(f"activation {name!r} is none of {', '.join(ACTIVATIONS)}")


class BaseConv(nn.Module):
    """Convolution without bias and with same padding, batch norm, activation.

    After `fuseforward` the batch norm is part of the convolution, which then
    has a bias; for use after training only.
    """

    def __init__(self, inputs: int, outputs: int, size: int = 1, stride: int = 1, act: str = "silu"):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, padding=(size - 1) // 2, bias=False)
        # eps and momentum are YOLOv5's
        self.bn: nn.Module = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03)
        self.act = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))

    @torch.no_grad()
    def fuseforward(self) -> None:
        """Folds the batch norm into the convolution; does nothing the second time."""
        if isinstance(self.bn, nn.Identity):
            return
        bn = self.bn
        gain = bn.weight / torch.sqrt(bn.running_var + bn.eps)
        old = self.conv
        self.conv = nn.Conv2d(
            old.in_channels, old.out_channels, old.kernel_size, old.stride, old.padding, bias=True
        ).to(old.weight)
        self.conv.weight.copy_(old.weight * gain.view(-1, 1, 1, 1))
        self.conv.bias.copy_(bn.bias - bn.running_mean * gain)
        self.conv.train(old.training)
        self.bn = nn.Identity()


class Detect(nn.Module):
    """What all heads share: the fused view of the maps, their decoding, the first biases.

    A subclass fills `maps`. anchors is (levels, na, 2), width and height in
    pixels of the network's input; strides has one entry per level.

    forward returns the maps as (B, na, ny, nx, 5+nc) while training; else the
    decoded rows (B, N, 5+nc) - centre x, centre y, width, height in pixels of
    the input, conf, labels - and those maps. Rows come level by level, then by
    anchor, y, x.
    """

    anchors: Tensor

    def __init__(self, classes: int, anchors: list[list[tuple[float, float]]], strides: list[int], inplace: bool):
        super().__init__()
        self.classes = classes
        self.width = 5 + classes
        self.register_buffer("anchors", torch.tensor(anchors, dtype=torch.float32))
        self.strides = list(strides)
        self.inplace = inplace
        if len(anchors) != len(strides):
            raise ValueError(f"{len(anchors)} levels of anchors do not fit {len(strides)} strides")

    def maps(self, features: list[Tensor]) -> list[Tensor]:
        """Returns one map (B, na*(5+nc), ny, nx) per level."""
        raise NotImplementedError

    def forward(self, features: list[Tensor]) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        maps = [self.split_anchors(x) for x in self.maps(features)]
        if self.training:
            return maps
        return torch.cat([self.decode(x, level) for level, x in enumerate(maps)], 1), maps

    def split_anchors(self, x: Tensor) -> Tensor:
        """Returns a map (B, na*(5+nc), ny, nx) as (B, na, ny, nx, 5+nc)."""
        batch, _, ny, nx = x.shape
        return x.view(batch, self.anchors.shape[1], self.width, ny, nx).permute(0, 1, 3, 4, 2).contiguous()

    def decode(self, x: Tensor, level: int) -> Tensor:
        """Returns the rows (B, na*ny*nx, 5+nc) of one level's map (B, na, ny, nx, 5+nc).

        YOLOv5's formula: xy = (2s - 0.5 + grid) * stride, wh = (2s)^2 * anchor
        with s the sigmoid. The grid follows the map's size.
        """
        batch, na, ny, nx, _ = x.shape
        rows, columns = torch.arange(ny, device=x.device), torch.arange(nx, device=x.device)
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1], -1).to(x.dtype)
        anchors = self.anchors[level].view(1, na, 1, 1, 2)
        stride = self.strides[level]
        y = x.sigmoid()
        if self.inplace:
            y[..., 0:2] = (y[..., 0:2] * 2 - 0.5 + grid) * stride
            y[..., 2:4] = (y[..., 2:4] * 2) ** 2 * anchors
        else:
            xy = (y[..., 0:2] * 2 - 0.5 + grid) * stride
            wh = (y[..., 2:4] * 2) ** 2 * anchors
            y = torch.cat((xy, wh, y[..., 4:]), -1)
        return y.view(batch, -1, self.width)

    def first_biases(self, level: int) -> Tensor:
        """Returns what a fresh map's (na*(5+nc)) channels should add to conf and labels, by the fused view.

        As YOLOv5 has it: 8 objects in a picture of 640 pixels, 0.6 of a label
        spread over all classes.
        """
        bias = torch.zeros(self.anchors.shape[1], self.width)
        bias[:, 4] = math.log(8 / (640 / self.strides[level]) ** 2)
        bias[:, 5:] = math.log(0.6 / (self.classes - 0.99999))
        return bias.view(-1)


class CoupledHead(Detect):
    """The stock YOLOv5 head: one 1x1 convolution per level."""

    def __init__(
        self,
        classes: int,
        anchors: list[list[tuple[float, float]]],
        channels: list[int],
        strides: list[int],
        inplace: bool = True,
    ):
        super().__init__(classes, anchors, strides, inplace)
        na = len(anchors[0])
        self.m = nn.ModuleList(nn.Conv2d(x, na * self.width, 1) for x in channels)
        with torch.no_grad():
            for level, conv in enumerate(self.m):
                conv.bias += self.first_biases(level)

    def maps(self, features: list[Tensor]) -> list[Tensor]:
        return [conv(x) for conv, x in zip(self.m, features, strict=True)]


class DecoupledHead(Detect):
    """One branch for labels, one for box and conf; before them a 1x1 base convolution, or none.

    With a base convolution the branches are hidden channels wide; hidden None
    keeps each level's own width. Without one they always are as wide as the level.
    """

    def __init__(
        self,
        classes: int,
        anchors: list[list[tuple[float, float]]],
        channels: list[int],
        strides: list[int],
        hidden: int | None = 256,
        base: bool = True,
        act: str = "silu",
        inplace: bool = True,
    ):
        super().__init__(classes, anchors, strides, inplace)
        na = len(anchors[0])
        widths = [hidden if base and hidden else x for x in channels]
        if base:
            self.base_conv = nn.ModuleList(BaseConv(x, c, 1, act=act) for x, c in zip(channels, widths, strict=True))
        else:
            self.base_conv = nn.ModuleList(nn.Identity() for _ in channels)
        self.cls_convs = nn.ModuleList(BaseConv(c, c, 3, act=act) for c in widths)
        self.reg_convs = nn.ModuleList(BaseConv(c, c, 3, act=act) for c in widths)
        self.m_box = nn.ModuleList(nn.Conv2d(c, na * 4, 1) for c in widths)
        self.m_conf = nn.ModuleList(nn.Conv2d(c, na, 1) for c in widths)
        self.m_labels = nn.ModuleList(nn.Conv2d(c, na * classes, 1) for c in widths)
        with torch.no_grad():
            for level, convs in enumerate(zip(self.m_box, self.m_conf, self.m_labels, strict=True)):
                # a channel's meaning comes from the view, not from its convolution
                parts = self.first_biases(level).split([conv.out_channels for conv in convs])
                for conv, part in zip(convs, parts, strict=True):
                    conv.bias += part

    def maps(self, features: list[Tensor]) -> list[Tensor]:
        found = []
        for level, feature in enumerate(features):
            shared = self.base_conv[level](feature)
            reg = self.reg_convs[level](shared)
            cls = self.cls_convs[level](shared)
            found.append(torch.cat((self.m_box[level](reg), self.m_conf[level](reg), self.m_labels[level](cls)), 1))
        return found


def make_head(
    kind: str,
    classes: int,
    anchors: list[list[tuple[float, float]]],
    channels: list[int],
    strides: list[int],
    hidden: int | None = 256,
    act: str = "silu",
    inplace: bool = True,
) -> Detect:
    """Returns the head of a kind. Raises ValueError on a kind that is not in KINDS."""
    if kind == "coupled":
        return CoupledHead(classes, anchors, channels, strides, inplace)
    if kind in ("decoupled-base", "decoupled"):
        base = kind == "decoupled-base"
        return DecoupledHead(classes, anchors, channels, strides, hidden, base, act, inplace)
    raise ValueError(f"head {kind!r} is none of {', '.join(KINDS)}")
