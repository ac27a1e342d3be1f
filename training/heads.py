"""Detection heads: coupled, decoupled with and without a base convolution, and YOLOX's.

Each ends in one or three 1x1 convolutions per level, whose channels the head
reads as predictions (B, na, ny, nx, 5+nc). How it reads them is its layout:

- `fused` views their concatenation as (B, na, 5+nc, ny, nx): anchor a owns
  channels a*(5+nc) to (a+1)*(5+nc)-1, whichever convolution wrote them. For a
  decoupled head, whose map is cat(box, conf, labels), this is what gives the
  channels their meaning while it trains, so a decoder must read it the same way
  and must not sort the channels by the convolution they come from.
- `split` views box, conf and labels one by one: box a*4+k, conf a, label a*nc+k.

With one anchor, as in YOLOX, the two are the same.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

KINDS = ("coupled", "decoupled-base", "decoupled", "yolox")
LAYOUTS = ("fused", "split")
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
    """What all heads share: what their channels mean, and that predictions become rows.

    A subclass says what its convolutions give (`parts`, `convs`) and how
    predictions are decoded (`rows`). na is the number of anchors per cell;
    strides has one entry per level.

    forward returns the predictions of every level, (B, na, ny, nx, 5+nc), while
    training; else the decoded rows (B, N, 5+nc) - centre x, centre y, width,
    height in pixels of the input, conf, labels - and those predictions. Rows
    come level by level, then by anchor, y, x.
    """

    def __init__(self, classes: int, na: int, strides: list[int], inplace: bool = True, layout: str = "fused"):
        super().__init__()
        self.classes = classes
        self.width = 5 + classes
        self.na = na
        self.strides = list(strides)
        self.inplace = inplace
        self.layout = layout

    def parts(self, level: int, x: Tensor) -> list[Tensor]:
        """Returns what a level's convolutions make of its feature map: one map, or box, conf and labels."""
        raise NotImplementedError

    def convs(self, level: int) -> list[nn.Conv2d]:
        """Returns the last convolutions of a level, in the order of `parts`."""
        raise NotImplementedError

    def rows(self, views: list[Tensor]) -> Tensor:
        """Returns the decoded rows (B, N, 5+nc) of all levels' predictions (B, na, ny, nx, 5+nc)."""
        raise NotImplementedError

    def maps(self, features: list[Tensor]) -> list[Tensor]:
        """Returns one map (B, na*(5+nc), ny, nx) per level: the concatenation of its parts."""
        return [join(self.parts(level, x)) for level, x in enumerate(features)]

    def forward(self, features: list[Tensor]) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        views = [self.view(self.parts(level, x)) for level, x in enumerate(features)]
        if self.training:
            return views
        return self.rows(views), views

    def view(self, parts: list[Tensor]) -> Tensor:
        """Returns the parts of one level as predictions (B, na, ny, nx, 5+nc), by the head's layout."""
        batch, _, ny, nx = parts[0].shape
        if self.layout == "split":
            widths = (4, 1, self.classes)
            x = torch.cat([p.view(batch, self.na, n, ny, nx) for p, n in zip(parts, widths, strict=True)], 2)
        else:
            x = join(parts).view(batch, self.na, self.width, ny, nx)
        return x.permute(0, 1, 3, 4, 2).contiguous()

    def by_conv(self, level: int, table: Tensor) -> list[Tensor]:
        """Returns a number for each prediction, (na, 5+nc), as a number for each channel of each convolution."""
        if self.layout == "split":
            return [part.reshape(-1) for part in table.split([4, 1, self.classes], 1)]
        return list(table.reshape(-1).split([conv.out_channels for conv in self.convs(level)]))

    @torch.no_grad()
    def add_biases(self, level: int, table: Tensor) -> None:
        """Adds a number to each prediction (na, 5+nc) of a level."""
        for conv, bias in zip(self.convs(level), self.by_conv(level, table), strict=True):
            conv.bias += bias


def join(parts: list[Tensor]) -> Tensor:
    """Returns the concatenation of a level's parts on the channels."""
    return torch.cat(parts, 1) if len(parts) > 1 else parts[0]


def cells(ny: int, nx: int, like: Tensor) -> Tensor:
    """Returns the grid (ny, nx, 2): each cell's column and row. ONNX keeps it depending on the map's size."""
    rows, columns = torch.arange(ny, device=like.device), torch.arange(nx, device=like.device)
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1], -1).to(like.dtype)


class AnchorHead(Detect):
    """A head of YOLOv5: boxes relative to anchors.

    anchors is (levels, na, 2), width and height in pixels of the network's input.
    """

    anchors: Tensor

    def __init__(
        self,
        classes: int,
        anchors: list[list[tuple[float, float]]],
        strides: list[int],
        inplace: bool,
        layout: str = "fused",
    ):
        super().__init__(classes, len(anchors[0]), strides, inplace, layout)
        self.register_buffer("anchors", torch.tensor(anchors, dtype=torch.float32))
        if len(anchors) != len(strides):
            raise ValueError(f"{len(anchors)} levels of anchors do not fit {len(strides)} strides")

    def rows(self, views: list[Tensor]) -> Tensor:
        return torch.cat([self.decode(x, level) for level, x in enumerate(views)], 1)

    def decode(self, x: Tensor, level: int) -> Tensor:
        """Returns the rows (B, na*ny*nx, 5+nc) of one level's predictions (B, na, ny, nx, 5+nc).

        YOLOv5's formula: xy = (2s - 0.5 + grid) * stride, wh = (2s)^2 * anchor
        with s the sigmoid. The grid follows the map's size.
        """
        batch, na, ny, nx, _ = x.shape
        grid = cells(ny, nx, x)
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
        """Returns what a fresh level's predictions (na, 5+nc) should have added to conf and labels.

        As YOLOv5 has it: 8 objects in a picture of 640 pixels, 0.6 of a label
        spread over all classes.
        """
        bias = torch.zeros(self.na, self.width)
        bias[:, 4] = math.log(8 / (640 / self.strides[level]) ** 2)
        bias[:, 5:] = math.log(0.6 / (self.classes - 0.99999))
        return bias


class CoupledHead(AnchorHead):
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
        self.m = nn.ModuleList(nn.Conv2d(x, self.na * self.width, 1) for x in channels)
        for level in range(len(channels)):
            self.add_biases(level, self.first_biases(level))

    def parts(self, level: int, x: Tensor) -> list[Tensor]:
        return [self.m[level](x)]

    def convs(self, level: int) -> list[nn.Conv2d]:
        return [self.m[level]]


class DecoupledHead(AnchorHead):
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
        layout: str = "fused",
    ):
        super().__init__(classes, anchors, strides, inplace, layout)
        na = self.na
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
        for level in range(len(channels)):
            self.add_biases(level, self.first_biases(level))

    def parts(self, level: int, x: Tensor) -> list[Tensor]:
        x = self.base_conv[level](x)
        reg = self.reg_convs[level](x)
        cls = self.cls_convs[level](x)
        return [self.m_box[level](reg), self.m_conf[level](reg), self.m_labels[level](cls)]

    def convs(self, level: int) -> list[nn.Conv2d]:
        return [self.m_box[level], self.m_conf[level], self.m_labels[level]]


class YOLOXHead(Detect):
    """YOLOX's head (Ge et al., 2021): anchor-free, a 1x1 stem, then two 3x3 convolutions per branch.

    conf and labels are logits while training and probabilities otherwise: the
    sigmoid is part of the network. hidden is the width of stem and branches,
    None keeps each level's own.
    """

    def __init__(
        self,
        classes: int,
        channels: list[int],
        strides: list[int],
        hidden: int | None = 256,
        act: str = "silu",
        inplace: bool = True,
    ):
        super().__init__(classes, 1, strides, inplace)
        widths = [hidden or x for x in channels]

        def branch(c: int) -> nn.Sequential:
            return nn.Sequential(BaseConv(c, c, 3, act=act), BaseConv(c, c, 3, act=act))

        self.stems = nn.ModuleList(BaseConv(x, c, 1, act=act) for x, c in zip(channels, widths, strict=True))
        self.cls_convs = nn.ModuleList(branch(c) for c in widths)
        self.reg_convs = nn.ModuleList(branch(c) for c in widths)
        self.reg_preds = nn.ModuleList(nn.Conv2d(c, 4, 1) for c in widths)
        self.obj_preds = nn.ModuleList(nn.Conv2d(c, 1, 1) for c in widths)
        self.cls_preds = nn.ModuleList(nn.Conv2d(c, classes, 1) for c in widths)
        # a fresh conf or label is 0.01, so that the many empty cells do not drown the first steps
        bias = torch.zeros(1, self.width)
        bias[:, 4:] = -math.log(0.99 / 0.01)
        for level in range(len(channels)):
            self.add_biases(level, bias)

    def parts(self, level: int, x: Tensor) -> list[Tensor]:
        x = self.stems[level](x)
        reg = self.reg_convs[level](x)
        cls = self.cls_convs[level](x)
        box, conf, labels = self.reg_preds[level](reg), self.obj_preds[level](reg), self.cls_preds[level](cls)
        return [box, conf, labels] if self.training else [box, conf.sigmoid(), labels.sigmoid()]

    def convs(self, level: int) -> list[nn.Conv2d]:
        return [self.reg_preds[level], self.obj_preds[level], self.cls_preds[level]]

    def rows_grid(self, views: list[Tensor]) -> Tensor:
        """Returns the rows (B, N, 5+nc) of all levels whose boxes still need grid and stride."""
        return torch.cat([x.view(x.shape[0], -1, self.width) for x in views], 1)

    def rows(self, views: list[Tensor]) -> Tensor:
        """YOLOX's formula: xy = (p + grid) * stride, wh = exp(p) * stride. The grid follows the map's size."""
        y = self.rows_grid(views)
        grids = [cells(x.shape[2], x.shape[3], x).view(1, -1, 2) for x in views]
        grid = torch.cat(grids, 1)
        pairs = zip(grids, self.strides, strict=True)
        stride = torch.cat([torch.full_like(grid[..., :1], stride) for grid, stride in pairs], 1)
        if self.inplace:
            y[..., 0:2] = (y[..., 0:2] + grid) * stride
            y[..., 2:4] = y[..., 2:4].exp() * stride
            return y
        xy = (y[..., 0:2] + grid) * stride
        wh = y[..., 2:4].exp() * stride
        return torch.cat((xy, wh, y[..., 4:]), -1)


def make_head(
    kind: str,
    classes: int,
    anchors: list[list[tuple[float, float]]],
    channels: list[int],
    strides: list[int],
    hidden: int | None = 256,
    act: str = "silu",
    inplace: bool = True,
    layout: str = "fused",
) -> Detect:
    """Returns the head of a kind; yolox has no use for anchors.

    Raises ValueError on a kind that is not in KINDS, and on a layout that the kind does not have.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout {layout!r} is none of {', '.join(LAYOUTS)}")
    if kind in ("decoupled-base", "decoupled"):
        base = kind == "decoupled-base"
        return DecoupledHead(classes, anchors, channels, strides, hidden, base, act, inplace, layout)
    if layout != "fused" and kind in KINDS:
        raise ValueError(f"only a decoupled head has layout {layout}; a {kind} head is fused")
    if kind == "coupled":
        return CoupledHead(classes, anchors, channels, strides, inplace)
    if kind == "yolox":
        return YOLOXHead(classes, channels, strides, hidden, act, inplace)
    raise ValueError(f"head {kind!r} is none of {', '.join(KINDS)}")
